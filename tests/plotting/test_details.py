from plotting.details import details


def test_details_hold_what_is_behind_the_numbers(results):
    parts = {detail.title: detail for detail in details(results)}
    # dy: 1100 expected, 1000 + 500 processed; the same again for wc
    assert (
        parts["Ledger of events"].text
        == "3,200 events expected, 3,000 processed, 200 declared lost: nothing is missing."
    )
    lost = parts["Ledger of events"].tables[0].rows[0]
    assert lost == ["broken.root", "mc", "failed", "no basket", "100", "0"]
    cutflow = parts["Cutflows"].tables[0]
    assert cutflow.caption == "DY + jets: mc"
    assert cutflow.rows == [["all", "500", "250", "100.0 %"], ["trigger", "125", "62.5", "25.0 %"]]
    alone = parts["Cuts one by one (N−1)"].tables[0]
    assert alone.rows == [["trigger", "200", "100"]]
    assert '"profile": "btv20001"' in parts["Configuration"].blocks[0]
    assert parts["Versions"].tables[0].rows == [["advtag", "0.1.0"]]
    assert parts["Notes"].text == "all events are simulated."


def test_normalisation_and_purity_are_computed(results):
    detail = details({"dy": results["dy"]})[0]
    factors, purities = detail.tables
    # 120 jets in data; 3 flavours x 60 jets x weight 0.5 x 2 pb x 1500 / pb / 250 = 1080 expected
    assert factors.rows[0][0] == "DY + jets"
    # 1/9 sqrt(1 / 120 + 1 / 180) = 0.0131
    assert factors.rows[0][1] == "0.111 ± 0.013"
    assert factors.rows[0][2:] == ["120", "1,080"]
    # a third each; error sqrt(2/9 / 180) = 3.5 %
    assert purities.rows == [["DY + jets", "all", *["33.3 ± 3.5 %"] * 3]]
