"""What is refused of Keras layers that are converted otherwise, in a few words; the errors say why."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["RESTRICTIONS"]

_RECURRENT = "stateful; softmax or glu inside; initial states that are constants"

_BY_WORDS: Mapping[str, str] = {
    _RECURRENT: "GRU LSTM SimpleRNN GRUCell LSTMCell SimpleRNNCell",
    "stateful; from a file cells of one's own; of these dropout and initial states": "RNN StackedRNNCells",
    f"{_RECURRENT}; layers of one's own": "Bidirectional",
    "stateful; a mask that is a constant": "ConvLSTM1D ConvLSTM2D ConvLSTM3D",
    "an open number of steps, unless the layer inside takes any rank; several results": "TimeDistributed",
    "masks that are constants": "MultiHeadAttention GroupQueryAttention Attention AdditiveAttention",
    "embeddings inside": "SpectralNormalization",
    "renorm; a mask with another axis than the last": "BatchNormalization",
    "a fixed batch in noise_shape": "Dropout AlphaDropout",
    "a mask": "GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GlobalAveragePooling2D GlobalAveragePooling3D",
    "output sizes that are open": (
        "AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D "
        "AdaptiveMaxPooling2D AdaptiveMaxPooling3D"
    ),
    "a scale over several axes": "Rescaling",
    "channels first": "AutoContrast",
    "more tiles than Keras can fill": "ContrastLimitedAdaptiveHistogramEqualization",
    "another size than that of its input": "RandomCrop",
    "fill modes other than 'constant', which Keras refuses too": "Resizing",
    "sparse results": "CategoryEncoding Hashing HashedCrossing",
    "sparse results; bins that were never learnt": "Discretization",
    "sparse results; a vocabulary that was learnt and is not in the configuration": "IntegerLookup",
    "layers with weights inside": "Pipeline",
    "padding='same' of an open length": "STFTSpectrogram",
    "in training the labels, which a network does not see": "MixUp CutMix",
}

RESTRICTIONS: Mapping[str, str] = {kind: words for words, kinds in _BY_WORDS.items() for kind in kinds.split()}
"""By class of Keras."""
