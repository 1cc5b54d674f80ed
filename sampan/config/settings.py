"""Every setting once: its name, type, default and a sentence of help. `docs/configuration.md` is held to this file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sampan.config.audit import AuditSettings, SinkSettings
from sampan.config.cache import CacheSettings
from sampan.config.declare import required, setting
from sampan.config.edge import CorsSettings, TlsSettings
from sampan.config.egress import EgressSettings
from sampan.config.identity import ConsoleSettings, IdentitySettings, IssuerSettings, RoleSettings
from sampan.config.policy import PolicySettings, ResidencySettings, RuleSettings
from sampan.config.quota import LimitSettings, PriceSettings, QuotaSettings
from sampan.config.telemetry import TelemetrySettings
from sampan.core import Dialect, Location, Operation, Tier

MEBIBYTE = 1024 * 1024
# What the programs speak that are engines. A `server` speaks what its settings say.
ENGINE_DIALECTS = {
    "reader": Dialect.ANTHROPIC,
    "sketcher": Dialect.OPENAI_IMAGES,
    "qwen_vl": Dialect.ANTHROPIC,
    "qwen_image": Dialect.OPENAI_IMAGES,
}
SERVER_KIND = "server"
EMBEDDED_ENGINES = ("reader", "sketcher")  # those that need no weights, and run where nobody has set any
TALK = (Operation.TEXT, Operation.VISION)
DRAWING = (Operation.GENERATE, Operation.EDIT)
# What servers of a dialect answer. The Responses wire is not among them: a caller's only, it is translated.
DIALECT_OPERATIONS = {
    Dialect.ANTHROPIC: TALK,
    Dialect.OPENAI_CHAT: TALK,
    Dialect.OPENAI_IMAGES: DRAWING,
    Dialect.OPENAI_EMBEDDINGS: (Operation.EMBED,),
}
CHAT_SERVERS = ("any", "vllm", "sglang", "llama.cpp", "ollama", "lmstudio", "openai")


@dataclass(frozen=True, slots=True)
class ServerSettings:
    listen: str = setting("127.0.0.1:8000", "Address and port to listen on.")
    public_url: str = setting("", "What artifact links are signed for: the host a browser sees. Empty: from `listen`.")
    data: str = setting("./data", "Folder of the embedded database, the artifacts and the records.")
    max_body: int = setting(32 * MEBIBYTE, "Largest body of a call, in bytes.", minimum=1024)
    max_image: int = setting(5 * MEBIBYTE, "Largest picture in a call, in bytes once decoded.", minimum=1024)
    body_timeout: float = setting(60.0, "Seconds that a caller has to send a whole body.", minimum=0.05)
    idle_timeout: float = setting(
        75.0,
        "Seconds that a connection may be silent between two requests, or take nothing of an answer.",
        minimum=0.05,
    )
    body_rate: int = setting(
        128, "Bytes a second that a body must bring on average, from its tenth second on; 0: any.", minimum=0
    )
    connections: int = setting(16384, "Connections of callers that may be open at once.", minimum=1)
    connections_per_address: int | None = setting(
        None, "Of these, those of one address or IPv6 /64. Default 256; from this machine itself any.", minimum=1
    )
    connections_per_second: int | None = setting(
        None, "New ones of one address in a second. Default 100; from this machine itself any.", minimum=1
    )
    guesses_per_minute: int | None = setting(
        None,
        "Wrong keys of one address in a minute before it is refused for a while. Default 60; from this machine any.",
        minimum=1,
    )
    trusted_proxies: list[str] = setting(
        [], "Networks of reverse proxies, such as `10.0.0.0/8`, whose `X-Forwarded-For` says who asks."
    )
    keepalive: float = setting(
        10.0, "Seconds of waiting for the first content after which a stream gets an SSE comment.", minimum=0.05
    )
    attempts: int = setting(
        4, "Clouds that one call may really ask: its retry budget. Local targets are asked all the same.", minimum=1
    )
    max_file: int = setting(500 * MEBIBYTE, "Largest file that may be uploaded, in bytes.", minimum=1024)
    max_batch: int = setting(256 * MEBIBYTE, "Largest body of a message batch, in bytes.", minimum=1024)
    batch_calls: int = setting(4, "Calls of message batches that run at once.", minimum=1)
    shutdown: float = setting(30.0, "Seconds that open answers have to end when the server stops.", minimum=0)
    default_model: str = setting("claude-sonnet-5-5", "Model of a form call that names none.")
    default_image_model: str = setting("chatgpt-image-latest", "Model of a picture call that names none.")
    log_level: str = setting("info", "debug, info, warning or error.")


@dataclass(frozen=True, slots=True)
class StorageSettings:
    database: str = setting(
        "sqlite", "Where keys and records are kept: `sqlite`, or `postgresql://user:password@host:port/name`."
    )
    objects: str = setting(
        "folder",
        "Where artifacts are kept: `folder`, or `s3://bucket/prefix?endpoint=http://host:port&region=us-east-1`.",
    )
    access_key: str = setting("", "Access key of the S3 store. Empty: AWS_ACCESS_KEY_ID of the environment.")
    secret_key: str = setting("", "Secret key of the S3 store. Empty: AWS_SECRET_ACCESS_KEY of the environment.")
    links: str = setting(
        "gateway", "What artifact links lead to: `gateway`, or `store` for links that an S3 store answers itself."
    )
    state: str = setting(
        "memory", "Where breakers are kept: `memory`, or `redis://user:password@host:port/db` to share them."
    )
    link_lifetime: int = setting(3600, "Seconds that a signed artifact link works.", minimum=1)
    artifact_days: float = setting(30.0, "Days that an artifact is kept; 0 keeps it for ever.", minimum=0)


@dataclass(frozen=True, slots=True)
class ClockSettings:
    connect: float | None = setting(None, "Seconds to resolve, connect and agree on TLS. Default 2.", minimum=0.01)
    first_event: float | None = setting(
        None, "Seconds from the request to the first content. Default 20; 120 for pictures and engines.", minimum=0.01
    )
    idle: float | None = setting(None, "Seconds between two pieces of an answer. Default 30.", minimum=0.01)
    total: float | None = setting(None, "Seconds for the whole attempt. Default 600.", minimum=0.01)
    rate: float | None = setting(
        None,
        "Bytes a second that a stream must bring, over any five seconds. Default 0: any.",
        minimum=0,
    )


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    interval: float = setting(15.0, "Seconds between two free probes of an upstream; 0 turns probes off.", minimum=0)
    timeout: float = setting(3.0, "Seconds a probe may take.", minimum=0.01)


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    failures: int = setting(3, "Failures in a row, of calls and probes together, that open a breaker.", minimum=1)
    delay: float = setting(30.0, "Seconds an open breaker waits before it lets one trial through.", minimum=0)
    successes: int = setting(1, "Successful trials that close it again.", minimum=1)


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    dialect: Dialect = required("Wire format: `anthropic`, `openai-chat`, `openai-images` or `openai-embeddings`.")
    base_url: str = required("Where it is; with or without a trailing /v1.")
    api_key: str = setting("", "Key it is asked with. Callers' own keys are never handed on.")
    location: Location = setting(Location.CLOUD, "`cloud`, or `local` for a server of your own.")
    server: str = setting(
        "any", "What it is, where its chat dialect has ways of its own: `vllm`, `ollama`, `openai` and others."
    )
    clocks: ClockSettings = setting(ClockSettings(), "The four clocks of an attempt.")
    proxy: str = setting("", "HTTP proxy, http://user:password@host:port.")
    ca: str = setting("", "File with further certificate authorities to trust.")
    headers: Mapping[str, str] = setting({}, "Further headers to send with each call.")
    concurrency: int = setting(256, "Calls it may have open at once; more wait, or are `bulkhead_full`.", minimum=1)
    queue: int | None = setting(
        None, "Calls that may wait for one of these to end. Default 0; 64 where `location` is `local`.", minimum=0
    )
    queue_seconds: float = setting(10.0, "Seconds that a call may wait so; 0 lets none wait.", minimum=0)
    continues: str = setting(
        "", "How it goes on with an answer that another began: `prefill`, `ask` or `no`. Empty: as its server can."
    )
    probe: str = setting("/v1/models", "Path of the free probe; `tcp` only connects, `off` never probes.")


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """How a model is loaded and run. An engine process takes each of these as a flag: `--model`, `--max-pixels`."""

    model: str = setting(
        "", "Checkpoint: a name as it was fetched, such as `Qwen/Qwen2.5-VL-7B-Instruct`, or a folder."
    )
    edit_model: str = setting("", "Checkpoint that edits by instruction. Empty: `model` does what it can.")
    quantization: str = setting("none", "`none`, `int8`, `int4` or `fp8`; AWQ and GPTQ checkpoints say so themselves.")
    dtype: str = setting("auto", "`auto` (as the checkpoint; `fp32` on a CPU without bf16), `bf16`, `fp16` or `fp32`.")
    device: str = setting("auto", "`auto` (all accelerators, or else the CPU), `cpu`, `cuda`, `cuda:1` and so on.")
    attention: str = setting("auto", "`auto` (FlashAttention-2 where it is installed), `flash`, `sdpa` or `eager`.")
    runtime: str = setting("torch", "What runs it: `torch`, or `onnx` or `openvino` for what was exported.")
    context: int = setting(8192, "Tokens that one conversation and its answer may have together.", minimum=64)
    batch: int = setting(
        16, "Answers that are written at once, a token of each in turn; or pictures drawn at once.", minimum=1
    )
    max_pixels: int = setting(
        0, "Pixels that a picture is scaled down to before it is looked at. 0: as the model.", minimum=0
    )
    memory: float = setting(
        0.0, "GiB of an accelerator's memory to claim in the ledger. 0: what the weights suggest.", minimum=0
    )
    offload: str = setting("none", "Weights that wait elsewhere: `none`, `cpu`, `layers` or `disk`.")
    compile: bool = setting(
        False, "Record CUDA graphs, or compile kernels, while warming up: a slower start, faster calls."
    )
    sizes: list[str] = setting([], "Picture sizes to warm up for, such as `1024x1024`.")
    preset: str = setting("balanced", "Preset of a picture call that names none: `fast`, `balanced` or `best`.")
    loras: Mapping[str, str] = setting(
        {}, "LoRA files by name: `lightning` is for the preset `fast`, `edit_NAME` is NAME of the edit model."
    )


@dataclass(frozen=True, slots=True)
class EngineSettings(ModelSettings):
    kind: str = required(
        "Which program it is: `reader`, `sketcher`, `qwen_vl`, `qwen_image`, or `server` for another's."
    )
    revision: str = setting("", "Pinned revision of `model`. Empty: the newest that was fetched or promoted.")
    listen: str = setting("", "Address and port; empty takes a free one on 127.0.0.1.")
    threads: int = setting(1, "Calls it works on at once; the others wait in its queue.", minimum=1)
    concurrency: int = setting(64, "Calls it may have open at once; more wait, or are `bulkhead_full`.", minimum=1)
    queue: int = setting(64, "Calls that may wait for one of these to end.", minimum=0)
    queue_seconds: float = setting(10.0, "Seconds that a call may wait so; 0 lets none wait.", minimum=0)
    clocks: ClockSettings = setting(ClockSettings(), "The four clocks of an attempt.")
    command: list[str] = setting(
        [], "Of a `server`: what starts it; `{host}`, `{port}`, `{model}` and `{release}` in it are filled in."
    )
    url: str = setting("", "Of a `server` that runs already: where it is.")
    dialect: Dialect = setting(Dialect.OPENAI_CHAT, "Of a `server`: what it speaks.")
    server: str = setting("any", "Of a `server`: what it is, as for an upstream.")
    api_key: str = setting("", "Of a `server`: key it is asked with.")
    health: str = setting("/health", "Of a `server`: path that answers 200 once it can take calls.")
    env: Mapping[str, str] = setting({}, "Further environment variables of the process.")

    @property
    def speaks(self) -> Dialect:
        """What it is asked in."""
        return self.dialect if self.kind == SERVER_KIND else ENGINE_DIALECTS[self.kind]

    @property
    def tier(self) -> Tier:
        """How good its answers are."""
        return Tier.DEGRADED if self.kind in EMBEDDED_ENGINES else Tier.LOCAL


@dataclass(frozen=True, slots=True)
class ReleaseSettings:
    """How models come to the house and how one takes the place of another."""

    huggingface: str = setting("https://huggingface.co", "Where `models fetch` finds Hugging Face, or a mirror of it.")
    modelscope: str = setting("https://www.modelscope.cn", "Where `models fetch --from modelscope` finds ModelScope.")
    shares: list[float] = setting(
        [0.1, 0.5], "Shares of the calls that a promoted release is given, one after the other."
    )
    watch: float = setting(60.0, "Seconds that it is watched at each share.", minimum=0)
    faults: float = setting(0.05, "Share of its calls that may fail; more rolls it back.", minimum=0)
    keep: float = setting(
        3600.0, "Seconds that the release before it stays warm, so that `rollback` is instant.", minimum=0
    )
    golden: str = setting("", "File of golden probes, questions with what must be in the answer. Empty: built-in ones.")


@dataclass(frozen=True, slots=True)
class MediaSettings:
    megapixels: float = setting(50.0, "Largest picture that is decoded, in millions of pixels.", minimum=0.1)
    pages: int = setting(20, "Pages of a PDF that are drawn for a target which reads none.", minimum=1)
    workers: int = setting(2, "Processes that draw pages and turn pictures.", minimum=1)
    fetch_bytes: int = setting(32 * MEBIBYTE, "Largest picture or PDF that is fetched by its URL.", minimum=1024)
    fetch_seconds: float = setting(20.0, "Seconds that fetching one URL may take, redirects together.", minimum=0.1)
    fetch_allow: list[str] = setting(
        [],
        "Hosts and networks to fetch from although not public: `files.lan:8080` (ports but 80, 443), `10.1.0.0/16`.",
    )
    clean: bool = setting(True, "Take EXIF, GPS and other metadata off pictures before they leave for a cloud.")


@dataclass(frozen=True, slots=True)
class RouteSettings:
    model: str = required("Public model name, or a pattern with * and ?.")
    operations: list[Operation] = required("Operations it serves.")
    targets: list[str] = required("`upstream` or `upstream:model`, best first.")
    cache: bool = setting(False, "Keep answers and give them again to the same question of the same department.")
    cache_seconds: float = setting(0.0, "Seconds that they are kept. 0: as `[cache]` says.", minimum=0)
    cache_shared: bool = setting(False, "Give them to other departments, too.")
    hedge: bool = setting(False, "Ask a local target too, where the first content is later than usual.")


@dataclass(frozen=True, slots=True)
class Config:
    server: ServerSettings = setting(ServerSettings(), "The gateway's own address and limits.")
    storage: StorageSettings = setting(StorageSettings(), "Where things are kept.")
    upstreams: Mapping[str, UpstreamSettings] = setting({}, "Whatever answers calls over HTTP.")
    engines: Mapping[str, EngineSettings] = setting({}, "Our own programs; each is an upstream of the same name.")
    routes: list[RouteSettings] = setting([], "Public models and who answers for them.")
    breaker: BreakerSettings = setting(BreakerSettings(), "When a sick target is left alone.")
    probes: ProbeSettings = setting(ProbeSettings(), "How an outage is seen before a caller meets it.")
    media: MediaSettings = setting(MediaSettings(), "How pictures, PDFs and links are made fit for a target.")
    cache: CacheSettings = setting(CacheSettings(), "How many answers are kept, and how long.")
    audit: AuditSettings = setting(AuditSettings(), "How the records of calls are sealed, kept and delivered.")
    releases: ReleaseSettings = setting(ReleaseSettings(), "How models are fetched and promoted.")
    tls: TlsSettings = setting(TlsSettings(), "Who we are: one's own certificate.")
    cors: CorsSettings = setting(CorsSettings(), "Pages of other origins that may ask us from a browser.")
    egress: EgressSettings = setting(EgressSettings(), "What may be connected to.")
    quota: QuotaSettings = setting(QuotaSettings(), "What all limits and prices share.")
    limits: list[LimitSettings] = setting([], "Who may spend how much.")
    prices: list[PriceSettings] = setting([], "What answers cost.")
    identity: IdentitySettings = setting(IdentitySettings(), "Who is believed, and how.")
    telemetry: TelemetrySettings = setting(TelemetrySettings(), "What is told of calls, and where to.")
    roles: Mapping[str, RoleSettings] = setting({}, "Roles of one's own.")
    policy: PolicySettings = setting(PolicySettings(), "What all rules share.")
    rules: list[RuleSettings] = setting([], "Who may ask what, and what may leave.")
    residency: ResidencySettings = setting(ResidencySettings(), "What may not leave the house.")


SECTIONS = {
    "server": ServerSettings,
    "storage": StorageSettings,
    "upstreams": UpstreamSettings,
    "clocks": ClockSettings,
    "engines": EngineSettings,
    "routes": RouteSettings,
    "breaker": BreakerSettings,
    "probes": ProbeSettings,
    "media": MediaSettings,
    "cache": CacheSettings,
    "audit": AuditSettings,
    "audit.sinks": SinkSettings,
    "releases": ReleaseSettings,
    "tls": TlsSettings,
    "cors": CorsSettings,
    "egress": EgressSettings,
    "quota": QuotaSettings,
    "limits": LimitSettings,
    "prices": PriceSettings,
    "identity": IdentitySettings,
    "identity.issuers": IssuerSettings,
    "identity.console": ConsoleSettings,
    "telemetry": TelemetrySettings,
    "roles": RoleSettings,
    "policy": PolicySettings,
    "rules": RuleSettings,
    "residency": ResidencySettings,
}
