"""What the user should hear of a result, as far as its numbers say it: losses, empty datasets, certification.

These notes are made of the result, so that those of a sum are not the notes of its parts.
"""

from datamc.records import Result


def notes_from(result: Result) -> list[str]:
    """Return what a result itself tells of its data, one sentence each."""
    return list(
        dict.fromkeys(
            [
                *_loss_notes(result),
                *_luminosity_notes(result),
                *_empty_notes(result),
                *_fraction_notes(result),
            ]
        )
    )


def other_notes(result: Result) -> list[str]:
    """Return the notes of a result that its numbers do not tell: those of its files and versions."""
    told = set(notes_from(result))
    return [note for note in result.notes if note not in told]


def _loss_notes(result: Result) -> list[str]:
    return [
        f"{entry.dataset}: {entry.file} skipped, {entry.reason}"
        if entry.status == "skipped"
        else f"{entry.dataset}: chunks lost, {entry.reason}"
        for entry in result.ledger
        if entry.status != "processed"
    ]


def _luminosity_notes(result: Result) -> list[str]:
    is_asked_for = result.config.get("golden_json", "not said") is not None
    return [
        f"{name}: no certified luminosity sections are given, so all its data are taken"
        for name, record in result.datasets.items()
        if record.is_data and not record.simulated and not is_asked_for
    ]


def _empty_notes(result: Result) -> list[str]:
    """Return for each dataset that is lost whole the cut that took its last events."""
    golden = result.config.get("golden_json")
    notes = []
    for name, rows in result.cutflows.items():
        cut = next((row.cut for row in rows if row.n_events == 0), None)
        if cut == "all":
            notes.append(f"{name}: its files hold no event")
        elif cut == "good_luminosity" and golden is not None:
            notes.append(f"{name}: no event is certified by {golden['file']}, is it of the same year and era")
        elif cut is not None:
            notes.append(f"{name}: no event is left after the cut {cut}")
    return notes


def _fraction_notes(result: Result) -> list[str]:
    """Return for each dataset with losses which share of it is left."""
    shares = {name: result.processed_fraction(name) for name in result.datasets}
    return [
        f"{name}: {100 * share:.4g} % of its events were processed"
        + (", its luminosity counts for as much" if result.datasets[name].luminosity_pb is not None else "")
        for name, share in shares.items()
        if share < 1
    ]
