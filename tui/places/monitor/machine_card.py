"""The machine card: GPU (or processor) as the engine measured it, speed, time."""

from __future__ import annotations

from textual.content import Content

from engine.contract.events import Gpu
from tui.runs.history import History, number
from tui.text import NONE, cut, duration, gib, short, sparkline
from tui.widgets.lines import Lines, gauge

_BAR = 9


class MachineCard(Lines):
    """What the engine says of its GPUs, how fast it goes, and for how long still."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="card")

    def write(self, history: History, *, narrow: bool) -> None:
        lines: list[Content] = []
        for index in sorted(history.gpu):
            lines += _gpu(history.gpu[index], history.gpu_peak.get(index, 0.0), narrow, several=len(history.gpu) > 1)
        if not lines:
            lines = [Content.styled("no figures of the machine yet", "$quiet")]
        self.show([*lines, *_pace(history, narrow)])
        first = history.gpu[min(history.gpu)] if history.gpu else None
        many = len(history.gpu) > 1
        one = f"GPU {first.index or 0}" if first and _has_gpu(first) else "Processor"
        self.title(f"{len(history.gpu)} GPUs" if many else one)


def _has_gpu(event: Gpu) -> bool:
    return event.util is not None or event.mem_total is not None


def _gpu(event: Gpu, peak: float, narrow: bool, *, several: bool) -> list[Content]:
    if not _has_gpu(event):
        return _processor(event, peak)
    util, used, total = map(number, (event.util, event.mem_used, event.mem_total))
    heat, power, limit = map(number, (event.temperature, event.power, event.power_limit))
    throttle = ", ".join(event.throttle or ())
    util_text, heat_text = f"util {_whole(util)}%", f"{heat:.0f} °C" if heat == heat else ""
    watts = f"{power:.0f}/{limit:.0f} W" if limit == limit else f"{power:.0f} W" if power == power else ""
    mem_text = f"mem  {gib(used)}/{gib(total, 0)} GiB"
    warn = "$warning" if throttle else "$foreground"
    if narrow or several:
        name = f"{event.index or 0} " if several else ""
        return [
            Content.assemble(f"{name}{_whole(util)}% ", gauge(util / 100, 7), f" {_whole(heat)}° {_whole(power)}W"),
            Content.assemble(f"{gib(used)}/{gib(total, 0)}G ", gauge(used / total, 6), f" pk {gib(peak)}"),
            *([Content.styled(f"▲ throttled: {throttle}", "$warning")] if throttle else []),
        ]
    clocks = f"SM {event.clock_sm:.0f} MHz" if event.clock_sm is not None else ""
    fan = f"fan {event.fan:.0f}%" if event.fan is not None else ""
    return [
        Content(cut((event.name or "GPU").removeprefix("NVIDIA ").removeprefix("GeForce "), 34)),
        Content.assemble(f"{util_text:<17}", gauge(util / 100, _BAR)),
        Content.assemble(f"{mem_text:<17}", gauge(used / total, _BAR), (f" pk {gib(peak)}", "$quiet")),
        Content(f"{heat_text:<7} {fan:<8} {watts}"),
        Content.assemble(f"{clocks:<15} ", (f"▲ {throttle}" if throttle else "no throttle", warn)),
    ]


def _whole(value: float) -> str:
    # Under MIG, and on some servers, a card does not tell everything.
    return f"{value:.0f}" if value == value else NONE


def _processor(event: Gpu, peak: float) -> list[Content]:
    cpu, used, total = map(number, (event.cpu, event.ram_used, event.ram_total))
    return [
        Content.assemble(f"{f'CPU  {cpu:.0f}%':<17}", gauge(cpu / 100, _BAR)),
        Content.assemble(f"{f'mem  {gib(used)}/{gib(total, 0)} GiB':<17}", gauge(used / total, _BAR)),
        Content.assemble(f"engine {gib(number(event.engine_rss))} GiB", (f"  pk {gib(peak)}", "$quiet")),
    ]


def _pace(history: History, narrow: bool) -> list[Content]:
    if not history.steps:
        return []
    speed = history.columns["clips_per_second"].values[-400:]
    waits = [wait for wait in history.columns["data_wait"].values[-50:] if wait == wait]
    pace = history.seconds_per_step()
    shown = f"{pace:.2f} s/step" if pace >= 1 else f"{1 / pace:.1f} steps/s" if pace > 0 else ""
    lines = [Content.assemble(f"{shown:<{12 if narrow else 17}}", (sparkline(speed, 12), "$primary"))]
    wait = f"data wait {100 * sum(waits) / len(waits):.0f}%" if waits else ""
    lr, norm = history.columns["lr"][-1], history.columns["grad_norm"][-1]
    scale = history.columns["scale"][-1]
    scaled = f"scale {scale:.0f}  " if scale == scale else ""
    if narrow:
        return [*lines, Content(f"lr {short(lr)}  gn {short(norm)}"), Content(f"{scaled}skip {history.skipped}")]
    batch = history.start.effective_batch
    lines.append(Content(f"{wait}   {batch} clips/step" if batch else wait))
    lines.append(Content(f"lr {short(lr)}   grad norm {short(norm)}"))
    lines.append(Content.styled(f"{scaled}skip {history.skipped}  elapsed {duration(history.elapsed)}", "$quiet"))
    return lines
