"""What several cards use: recipes, panels, error bars and ways to count."""
