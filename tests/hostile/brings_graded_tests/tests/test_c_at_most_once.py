def test_lost_reply_runs_once():
    pass
