from plotting.figures import StackOptions, plot_results


def test_the_standard_set_is_raw_and_the_largest_attack_at_the_last_epoch(
    results, scale_factors, row, auc_row, roc_row, tmp_path
):
    steps = []
    written = plot_results(
        {"dy": results["dy"]},
        tmp_path,
        divergence=[row("basic", 0.5)],
        scale_factors=[scale_factors._replace(epoch=1), scale_factors],
        auc_rows=[auc_row("basic", 3, "raw", "CvsL", 0.7)],
        roc_rows=[roc_row("basic", 3, "raw", "CvsL", 0.5, 0.1), roc_row("basic", 3, "raw", "CvsL", 1.0, 1.0)],
        scores=("CvsL",),
        formats=("png",),
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps == [(i, 10) for i in range(1, 11)]
    assert [path.name for path in written] == [
        "stack_dy_CvsL_basic_3_raw.png",
        "stack_dy_CvsL_basic_3_fgsm-0.1.png",
        "stack_dy_CvsL_adversarial_3_raw.png",
        "stack_dy_CvsL_adversarial_3_fgsm-0.1.png",
        "divergence_CvsL.png",
        "trade_off_CvsL.png",
        "auc_CvsL.png",
        "roc_CvsL.png",
        "scale_factors_over_epochs.png",
        "scale_factors_basic_3_raw.png",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in written)


def test_nothing_to_plot_gives_no_figure(tmp_path):
    assert plot_results({}, tmp_path) == []


def test_stacks_by_process_in_all_views(results, tmp_path):
    options = StackOptions(by="process", all_signs=True, log=True)
    written = plot_results(results, tmp_path, scores=("CvsL",), stacks=options, formats=("png",))
    names = {path.stem for path in written}
    assert {f"stack_wc_CvsL_basic_3_raw{view}_by_process_log" for view in ("", "_OS", "_SS")} <= names
    assert "stack_dy_CvsL_basic_3_raw_by_process_log" in names
    assert not any("dy" in name and "OS" in name for name in names)
