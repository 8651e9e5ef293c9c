from plotting.null_data import null_sentence


def test_the_sentence_gives_both_divergences_and_what_lies_far_from_zero(row):
    # beyond statistics: data 0.3 and 0.5, null data 0.02 and 0.04 with errors of 0.1 and 0.01
    data = [
        row(tagger, kl, epoch=epoch, offset=0.1)
        for tagger, kl in (("basic", 0.4), ("adversarial", 0.6))
        for epoch in (1, 3)
    ]
    null = [
        row("basic", 0.12, offset=0.1, error=0.1),
        row("adversarial", 0.14, offset=0.1, error=0.01),
        row("adversarial", 9.0, offset=0.1, epoch=1),
        row("basic", 9.0, variant="fgsm:0.1"),
        row("basic", 0.0, status="empty_data"),
    ]
    assert null_sentence(data, null) == (
        "Statistics alone, DY + jets: null data (900 jets simulated like the simulation) have KL beyond "
        "statistics of 0.03 in the mean over 2 comparisons; 1 of 2 lie 2 σ or more from zero (0.1 expected "
        "by chance); the data have 0.4."
    )


def test_without_null_data_nothing_is_said(row):
    assert null_sentence([row("basic", 1.0)], []) == ""
    assert "share no comparison" in null_sentence([row("basic", 1.0)], [row("basic", 1.0, selection="wc")])
