"""The kinds of models and of data that a run may have, and which of them go together."""

from __future__ import annotations

from scaling.data.byte_kinds import ByteKinds
from scaling.data.digits import Digits
from scaling.data.gaussian import GaussianTeacher
from scaling.data.graph import GraphNodes
from scaling.data.images import Images
from scaling.data.linear_tasks import LinearTasks
from scaling.data.mixed_ngrams import MixedNGrams
from scaling.data.mnist1d import MNIST1D
from scaling.data.modular import ModularArithmetic
from scaling.data.network_teacher import NetworkTeacher
from scaling.data.ngram import NGram
from scaling.data.paired_views import PairedViews
from scaling.data.parity import SparseParity
from scaling.data.parity_tasks import ParityTasks
from scaling.data.power_law_features import PowerLawFeatures
from scaling.data.preferences import Preferences
from scaling.data.proxy_rewards import ProxyRewards
from scaling.data.repeated import Repeated
from scaling.data.small_table import SmallTable
from scaling.data.smoothed_nodes import SmoothedNodes
from scaling.data.sphere import SphereTeacher
from scaling.data.text import Text
from scaling.data.token_dataset import TokenSource
from scaling.data.translation import PlantedTranslation
from scaling.models.cnn_1d import CNN1D
from scaling.models.compressor import Compressor
from scaling.models.convolutional import Convolutional
from scaling.models.counted_ngram import CountedNGram
from scaling.models.encoder_decoder import EncoderDecoder
from scaling.models.family import Family, TranslatingFamily, offers
from scaling.models.gru import GRU
from scaling.models.image_cnn import ImageCNN
from scaling.models.kernel import Kernel
from scaling.models.linear import Linear
from scaling.models.lstm import LSTM
from scaling.models.min_gru import MinGRU
from scaling.models.mixture_of_experts import MixtureOfExperts
from scaling.models.mlp import MLP
from scaling.models.neural_ngram import NeuralNGram
from scaling.models.preact_resnet18 import PreActResNet18
from scaling.models.prompt_transformer import PromptTransformer
from scaling.models.random_features import RandomFeatures
from scaling.models.reward_model import RewardModel
from scaling.models.selective_ssm import SelectiveSSM
from scaling.models.summed_embeddings import SummedEmbeddings
from scaling.models.transformer import Transformer
from scaling.models.two_encoders import TwoEncoders

ModelConfig = (
    Linear
    | RandomFeatures
    | Kernel
    | MLP
    | RewardModel
    | TwoEncoders
    | PromptTransformer
    | CNN1D
    | ImageCNN
    | PreActResNet18
    | SummedEmbeddings
    | Transformer
    | MixtureOfExperts
    | LSTM
    | GRU
    | MinGRU
    | Convolutional
    | NeuralNGram
    | SelectiveSSM
    | CountedNGram
    | Compressor
    | EncoderDecoder
    | Family
)
"""The families of this package, and any other: see `scaling.own_code` for one of a user's own."""

DataConfig = (
    GaussianTeacher
    | SphereTeacher
    | NetworkTeacher
    | SmallTable
    | PowerLawFeatures
    | GraphNodes
    | SmoothedNodes
    | MNIST1D
    | Digits
    | Images
    | ModularArithmetic
    | SparseParity
    | ParityTasks
    | Preferences
    | ProxyRewards
    | PairedViews
    | LinearTasks
    | PlantedTranslation
    | Text
    | NGram
    | ByteKinds
    | Repeated
    | MixedNGrams
)


def check_pairs(model: ModelConfig, data: DataConfig) -> None:
    """Refuses models of pairs on other data, other models on pairs, and two lengths of sources.

    Tokens become pairs by the objective of a run, which `Pretraining.check` compares.

    Raises:
        ValueError: model and data do not go together.
    """
    for family, source in ((RewardModel, Preferences), (TwoEncoders, PairedViews)):
        if isinstance(model, family) and not isinstance(data, source):
            raise ValueError(
                f"model.kind = {model.kind!r} takes the pairs of data.kind = {source.kind!r}, and "
                f"data.kind = {data.kind!r} has none: use data.kind = {source.kind!r}"
            )
    if isinstance(data, TokenSource):
        return
    read = model.source_length if offers(model, TranslatingFamily) else None
    given = data.source_length if isinstance(data, PlantedTranslation) else None
    if read == given:
        return
    if read is None or given is None:
        raise ValueError(
            f"model.kind = {model.kind!r} does not go with data.kind = {data.kind!r}: give a "
            "source and its target to model.kind = 'encoder_decoder', and nothing else to it"
        )
    raise ValueError(
        f"model.source_length = {read} differs from the {given} tokens of a source of data.kind = "
        f"{data.kind!r}: give model.source_length = {given}"
    )
