"""Latency that the filter adds, against an Envoy without it. Requests go to the
two in turns, so that whatever else the machine does meets both alike."""

from __future__ import annotations

from stage import PLUGIN, Client, Model, chat_answer, chat_body, envoy_pair, percentile, post, prose

SIZES_KB = (1, 16, 128, 1024)
BODIES = 16


def run(quick: bool = False) -> list[dict]:
    """A row for each size of request."""
    model = Model(chat_answer(prose(400, 7)))
    ours, plain = envoy_pair(model.port, PLUGIN)
    rows = []
    try:
        with_filter, without = Client(ours.port), Client(plain.port)
        for kilobytes in SIZES_KB:
            rounds = max(40, (400 if quick else 4000) // max(1, kilobytes // 16))
            requests = [post(chat_body(kilobytes * 1024, seed)) for seed in range(BODIES)]
            first = with_filter.ask(requests[0])
            # Automata are built as texts need them: warm is what lasts.
            for request in requests * (1 if kilobytes > 100 else 4):
                with_filter.ask(request)
                without.ask(request)
            ours.mark()
            a, b = [], []
            for turn in range(rounds):
                request = requests[turn % BODIES]
                a.append(with_filter.ask(request))
                b.append(without.ask(request))
            inside = sorted(record["added_us"] for record in ours.audits(rounds, timeout=30))
            a.sort()
            b.sort()
            rows.append(
                {
                    "kilobytes": kilobytes,
                    "rounds": rounds,
                    "first_us": first * 1e6,
                    "inside_p50_us": percentile(inside, 0.5),
                    **{
                        f"{name}_{label}_us": percentile(values, share) * 1e6
                        for name, values in (("with", a), ("without", b))
                        for label, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))
                    },
                }
            )
        faults = ours.faults()
        if faults:
            raise RuntimeError(f"the filter failed in the bench: {faults}")
    finally:
        ours.kill()
        plain.kill()
        model.close()
    return rows


def table(rows: list[dict]) -> str:
    out = [
        "| request | without, p50 / p99 | with, p50 / p99 | added p50 | added p99 | ratio p50 | in the filter p50 |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        added = {label: row[f"with_{label}_us"] - row[f"without_{label}_us"] for label in ("p50", "p99")}
        out.append(
            f"| {row['kilobytes']:,} KB | {row['without_p50_us']:,.0f} / {row['without_p99_us']:,.0f} µs "
            f"| {row['with_p50_us']:,.0f} / {row['with_p99_us']:,.0f} µs | {added['p50']:,.0f} µs | {added['p99']:,.0f} µs "
            f"| {row['with_p50_us'] / row['without_p50_us']:.2f} | {row['inside_p50_us']:,.0f} µs |"
        )
    return "\n".join(out)
