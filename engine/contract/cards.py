"""NVIDIA GPUs: which one is used, what NVML tells of it, and whether torch sees it. Imports no torch.

NVML counts all cards in PCI order, whatever CUDA_VISIBLE_DEVICES and CUDA's own order say; so a card is known by its
UUID, which torch tells (``engine.device``), and never by a number. Every value is asked for by itself: under MIG, on
passively cooled servers and on a card that fell off the bus some or all of them are refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

_THROTTLE = {0x4: "power", 0x8: "hardware", 0x20: "thermal", 0x40: "thermal", 0x80: "power"}
"""NVML's clock event reasons that cost speed: power cap, hardware slowdown, thermal (both kinds), power brake."""

FIELDS = (
    "index", "name", "util", "mem_used", "mem_total", "temperature", "power", "power_limit", "clock_sm", "clock_mem",
    "fan", "throttle",
)  # fmt: skip
BUSY = 2**30
"""Bytes that another process may hold of a GPU that counts as free."""
DRIVER_OF_CUDA = {11: "450", 12: "525", 13: "580"}
"""CUDA's major version -> the oldest NVIDIA driver on Linux that runs it."""
ON_CPU = 'train.device = "cpu" trains on the CPU all the same'


@dataclass(frozen=True)
class Card:
    """A GPU as torch counts it; with MIG, the part of one that CUDA gives out."""

    uuid: str
    """Without the prefix that NVML puts before it."""
    pci: str
    """Domain, bus and device, such as "00000000:01:00.0"; "" where torch does not tell."""
    name: str
    capability: tuple[int, int]
    memory: int
    """Bytes."""


@dataclass(frozen=True)
class Facts:
    """What the NVIDIA driver and torch say of this machine's GPUs."""

    listed: tuple[str, ...] = ()
    """Names of all cards that NVML knows, in PCI order."""
    driver: str | None = None
    """The driver's version, None without one."""
    driver_cuda: int | None = None
    """CUDA version that the driver knows, as 1000 x major + 10 x minor."""
    driver_error: str = ""
    """Why NVML does not answer although there is a driver."""
    torch: str = ""
    built_for: str | None = None
    """CUDA version that torch was built for, None for a build that knows no GPU."""
    cuda_error: str = ""
    """What torch said when it found no GPU, or could not even be imported (``torch`` is then empty)."""
    visible: str | None = None
    """CUDA_VISIBLE_DEVICES."""
    cards: tuple[Card, ...] = ()
    """The GPUs that torch sees, in its order."""
    built_archs: tuple[str, ...] = ()
    """What torch has kernels for, such as sm_86; compute_90 is code that newer cards can translate."""

    @property
    def hidden(self) -> bool:
        """Whether CUDA_VISIBLE_DEVICES hides every card, which is the usual way to ask for the CPU."""
        return self.visible is not None and self.visible.strip() in ("", "-1")


def read(text: str) -> Facts:
    """The facts that ``python -m engine.device`` prints. Raises ValueError for anything else."""
    try:
        told: dict[str, Any] = json.loads(text)
        cards = tuple(Card(**{**card, "capability": tuple(card["capability"])}) for card in told.pop("cards"))
        told |= {name: tuple(told[name]) for name in ("listed", "built_archs")}
        return Facts(**told, cards=cards)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"no facts on GPUs: {error}") from None


@dataclass(frozen=True)
class Trouble:
    """Why a GPU that is there is not used, and what mends it."""

    message: str
    fix: str

    def __str__(self) -> str:
        return f"{self.message[0].upper()}{self.message[1:]}. {self.fix[0].upper()}{self.fix[1:]}; {ON_CPU}."


def trouble(facts: Facts) -> Trouble | None:
    """What keeps torch from a GPU that this machine has; None where it sees one, has none, or is told to see none."""
    if facts.cards:
        return _too_old(facts)
    if facts.hidden:
        return None
    if facts.driver_error:
        return Trouble(
            f"the NVIDIA driver does not answer ({facts.driver_error})",
            "restart the machine (a driver that was updated needs it), then run `nvidia-smi`",
        )
    if not facts.listed:
        return None
    if not facts.torch:
        return Trouble(f"torch does not import ({facts.cuda_error})", "run `mgl-tui doctor`, which says why")
    here = f"{facts.listed[0]} is there (driver {facts.driver or 'unknown'}"
    knows, wants = (facts.driver_cuda or 0) // 1000, _major(facts.built_for)
    if facts.driver_cuda:
        here += f", which knows CUDA up to {knows}.{facts.driver_cuda % 1000 // 10}"
    build = _older_build(knows)
    if facts.built_for is None:
        return Trouble(
            f"{here}) and torch {facts.torch} does not see it: it is built for the CPU alone",
            f"install a torch that is built for CUDA, {build}",
        )
    here += f") and torch {facts.torch}, built for CUDA {facts.built_for}, does not see it"
    if knows and knows < wants:
        driver = DRIVER_OF_CUDA.get(wants)
        update = f", or update the driver to {driver} or newer" if driver else ""
        return Trouble(
            f"{here}: the driver is too old for it",
            f"install a torch that is built for an older CUDA, {build}{update}",
        )
    if facts.visible is not None:
        return Trouble(
            f"{here}: CUDA_VISIBLE_DEVICES = {facts.visible!r} names no card that is there",
            "unset CUDA_VISIBLE_DEVICES, or set it to a number or UUID that `nvidia-smi -L` shows",
        )
    reason = f" ({facts.cuda_error})" if facts.cuda_error else ""
    return Trouble(
        here + reason, "run `nvidia-smi`, then `sudo modprobe nvidia_uvm`; restart the machine if neither helps"
    )


def _too_old(facts: Facts) -> Trouble | None:
    card = facts.cards[0]
    if not facts.built_archs or any(_runs_on(arch, card.capability) for arch in facts.built_archs):
        return None
    major, minor = card.capability
    return Trouble(
        f"torch {facts.torch}, built for CUDA {facts.built_for}, holds no kernels for {card.name} (compute capability "
        f"{major}.{minor})",
        f"install a torch that is built for an older CUDA, {_older_build(12)}",
    )


def _runs_on(arch: str, capability: tuple[int, int]) -> bool:
    kind, _, digits = arch.rstrip("af").partition("_")
    built = int(digits[:-1]), int(digits[-1])
    return built <= capability if kind == "compute" else built[0] == capability[0] and built[1] <= capability[1]


def _older_build(driver_cuda: int) -> str:
    # By the name of the build, which uv turns into the place where PyTorch keeps it. Builds for one major version run
    # on every driver of that version, so the oldest that is still made serves all.
    build = {11: "cu118", 12: "cu126"}.get(driver_cuda, "cu126" if driver_cuda < 13 else "cu130")
    command = f"uv pip install --reinstall --torch-backend={build} 'torch<2.15' torchaudio"
    return f"such as {build} from PyTorch's own index (`{command}`)"


def _major(version: str | None) -> int:
    digits = (version or "").split(".")[0]
    return int(digits) if digits.isdigit() else 0


class Nvml:
    """The driver's management library, asked value by value; ``error`` says why it cannot be asked."""

    def __init__(self) -> None:
        self.error, self._nvml = "", None
        try:
            import pynvml
        except ImportError:
            return
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            # Without library or driver there is no GPU, which is no fault.
            absent = (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
            self.error = "" if error.value in absent else str(error)
            return
        self._nvml = pynvml

    def ask(self, name: str, *arguments: Any) -> Any:
        """What NVML's function ``name`` answers, None where it is refused or there is nobody to ask."""
        try:
            answer = getattr(self._nvml, name)(*arguments)
        except Exception:
            return None
        return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer

    def handles(self) -> list[Any]:
        """All cards, in PCI order."""
        found = (self.ask("nvmlDeviceGetHandleByIndex", index) for index in range(self.ask("nvmlDeviceGetCount") or 0))
        return [handle for handle in found if handle is not None]

    def handle(self, card: Card) -> Any:
        """The card that torch calls ``card``, None when NVML knows it no more."""
        for prefix in ("GPU-", "MIG-"):
            handle = self.ask("nvmlDeviceGetHandleByUUID", f"{prefix}{card.uuid}".encode())
            if handle is not None:
                return handle
        return self.ask("nvmlDeviceGetHandleByPciBusId", card.pci.encode()) if card.pci else None

    def is_divided(self, handle: Any) -> bool:
        """Whether MIG is on: CUDA then gives out parts of the card."""
        mode = self.ask("nvmlDeviceGetMigMode", handle)
        return bool(mode and mode[0])

    def driver(self) -> str | None:
        return self.ask("nvmlSystemGetDriverVersion")

    def facts(self) -> dict[str, Any]:
        """The part of ``Facts`` that NVML tells."""
        return {
            "listed": tuple(self.ask("nvmlDeviceGetName", handle) or "an NVIDIA GPU" for handle in self.handles()),
            "driver": self.driver(),
            "driver_cuda": self.ask("nvmlSystemGetCudaDriverVersion"),
            "driver_error": self.error,
        }

    def sample(self, handle: Any) -> dict[str, Any]:
        """FIELDS of a card now: bytes, degrees Celsius, watts, MHz, percent; null is what it does not tell."""

        def ask(name: str, *arguments: Any) -> Any:
            return None if handle is None else self.ask(name, handle, *arguments)

        def kind(name: str) -> int:
            return getattr(self._nvml, name, 0)

        power, limit = ask("nvmlDeviceGetPowerUsage"), ask("nvmlDeviceGetEnforcedPowerLimit")
        memory, reasons = ask("nvmlDeviceGetMemoryInfo"), ask("nvmlDeviceGetCurrentClocksThrottleReasons")
        return {
            "index": ask("nvmlDeviceGetIndex"),
            "name": ask("nvmlDeviceGetName"),
            "util": getattr(ask("nvmlDeviceGetUtilizationRates"), "gpu", None),
            "mem_used": getattr(memory, "used", None),
            "mem_total": getattr(memory, "total", None),
            "temperature": ask("nvmlDeviceGetTemperature", kind("NVML_TEMPERATURE_GPU")),
            "power": None if power is None else power / 1000,
            "power_limit": None if limit is None else limit / 1000,
            "clock_sm": ask("nvmlDeviceGetClockInfo", kind("NVML_CLOCK_SM")),
            "clock_mem": ask("nvmlDeviceGetClockInfo", kind("NVML_CLOCK_MEM")),
            "fan": ask("nvmlDeviceGetFanSpeed"),
            "throttle": None if reasons is None else _throttled(reasons),
        }

    def busy(self, handle: Any) -> str:
        """Why a card is not free: the process that holds most of its memory; empty when it is free."""
        processes = [] if handle is None else self.ask("nvmlDeviceGetComputeRunningProcesses", handle) or []
        if not processes:
            return ""
        used, pid = max((process.usedGpuMemory or 0, process.pid) for process in processes)
        if not used:
            # Under MIG and in some containers NVML does not tell whose the memory is.
            used = getattr(self.ask("nvmlDeviceGetMemoryInfo", handle), "used", 0)
        return f"process {pid} holds {used / 2**30:.1f} GiB" if used > BUSY else ""


def _throttled(reasons: int) -> list[str]:
    words = {word for bit, word in _THROTTLE.items() if reasons & bit}
    # The hardware slows down for heat or for power, and mostly says for which.
    return sorted(words - {"hardware"} or words)
