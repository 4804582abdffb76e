"""Alerts from the value to the webhook: raised once, cleared once, told once, whatever restarts."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import polars as pl
import pytest
from pydantic import SecretStr

from quant_pipeline.alerts import store
from quant_pipeline.alerts.evaluation import Outcome, look
from quant_pipeline.alerts.rules import Observation
from quant_pipeline.research import reading
from quant_pipeline.settings import ROOT, Settings
from tests.quant_pipeline.alerts.conftest import TOKEN, Webhook

NOON = datetime.fromisoformat("2024-08-09T12:00")
FAILED, SUCCEEDED = 1.0, 0.0


class Watch:
    """Looks at the rules of one test, as the seconds of its clock go by."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
        self.connection = connection
        self.settings = settings

    def look(self, value: float | None, *, after_s: float, **changed: object) -> Outcome:
        """Judge and send, with a run that failed, succeeded or is not known."""
        settings = self.settings.model_copy(update=changed)
        return look(self.connection, settings, now=_at(after_s), also=[_run(value, after_s)])

    @property
    def history(self) -> pl.DataFrame:
        return store.read(self.connection, self.settings.venue)

    @property
    def only(self) -> dict[str, Any]:
        (row,) = self.history.to_dicts()
        return row


@pytest.fixture
def watch(connection: duckdb.DuckDBPyConnection, alerting: Settings) -> Watch:
    return Watch(connection, alerting)


def _at(after_s: float) -> datetime:
    return NOON + timedelta(seconds=after_s)


def _run(value: float | None, after_s: float) -> Observation:
    return Observation("failed_run", "bars", value, _at(after_s))


def test_an_alert_is_raised_cleared_and_told_once(watch: Watch, webhook: Webhook) -> None:
    for after_s, value in enumerate([None, FAILED, FAILED, None, SUCCEEDED, SUCCEEDED, None]):
        watch.look(value, after_s=after_s)
    row = watch.only
    assert (row["rule"], row["subject"], row["severity"]) == ("failed_run", "bars", "critical")
    assert (row["raised_at"], row["cleared_at"]) == (_at(1), _at(4))
    assert (row["value"], row["cleared_value"]) == (FAILED, SUCCEEDED)
    assert (row["raised_delivery"], row["cleared_delivery"]) == ("sent", "sent")
    assert webhook.titles == [
        "Critical: bars: the run failed; its log in the Dagster UI says why",
        "Cleared: bars: a later run succeeded",
    ]
    watch.look(FAILED, after_s=60)
    assert watch.history.height == 2
    assert len(webhook.notices) == 3


def test_a_new_process_neither_raises_nor_sends_again(watch: Watch, webhook: Webhook) -> None:
    watch.look(FAILED, after_s=0)
    before = watch.history
    program = (
        "import sys, json; from quant_pipeline.settings import Settings;"
        "from quant_pipeline.alerts.evaluation import evaluate;"
        "from tests.quant_pipeline.alerts.test_evaluation import _at, _run, FAILED;"
        "given = json.load(sys.stdin);"
        "settings = Settings(home=given['home'], catalog_dsn=given['catalog_dsn'],"
        " alert_urls=given['urls'], alert_rules=['failed_run'])"
        ".model_copy(update={'venue': given['venue']});"
        "outcome = evaluate(settings, now=_at(5), also=[_run(FAILED, 5)]);"
        "print(outcome.raised, outcome.sent, outcome.current.height)"
    )
    settings = watch.settings
    given = {
        "home": str(settings.home),
        "catalog_dsn": settings.catalog_dsn,
        "venue": settings.venue,
        "urls": [url.get_secret_value() for url in settings.alert_urls],
    }
    restarted = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert restarted.stdout.split() == ["0", "0", "1"], restarted.stderr
    assert watch.history.equals(before)
    assert len(webhook.notices) == 1


def test_what_a_webhook_refused_is_delivered_when_it_is_back(
    watch: Watch, webhook: Webhook
) -> None:
    webhook.refuses = True
    assert watch.look(FAILED, after_s=0).waiting == 1
    assert webhook.refused > 1  # tried again at once, for a short failure
    row = watch.only
    assert (row["raised_delivery"], row["attempts"]) == ("waiting", 1)
    assert row["delivery_error"].startswith("json address ")
    assert TOKEN not in str(row)

    refused = webhook.refused
    watch.look(FAILED, after_s=1)  # too soon: a service that is down is not hammered
    assert webhook.refused == refused
    webhook.refuses = False
    assert watch.look(FAILED, after_s=31).sent == 1
    assert watch.look(FAILED, after_s=62).sent == 0
    assert len(webhook.notices) == 1
    row = watch.only
    assert (row["raised_delivery"], row["attempts"], row["delivery_error"]) == ("sent", 0, None)


def test_an_address_that_has_a_message_is_not_sent_it_again_for_another_that_lacks_it(
    watch: Watch, webhook: Webhook
) -> None:
    nobody = SecretStr("json://127.0.0.1:9/nobody")  # the discard port: refused
    both = (webhook.url, nobody)
    assert watch.look(FAILED, after_s=0, alert_urls=both).waiting == 1
    assert watch.look(FAILED, after_s=60, alert_urls=both).waiting == 1
    assert len(webhook.notices) == 1


def test_quiet_hours_end_with_one_digest_and_let_critical_ones_pass(
    watch: Watch, webhook: Webhook
) -> None:
    venue, quiet = watch.settings.venue, {"alert_quiet_hours": "11:00-12:30"}
    for first_id, symbol in enumerate(watch.settings.symbols):
        watch.connection.execute(
            "insert into raw.capture_gaps values (?, ?, ?, ?, ?, 'test', 'open', null, 0)",
            [venue, symbol, first_id, first_id, _at(-3600)],
        )
    assert watch.look(FAILED, after_s=0, **quiet).raised == 3
    assert webhook.titles == ["Critical: bars: the run failed; its log in the Dagster UI says why"]
    watch.connection.execute("update raw.capture_gaps set status = 'repaired'")
    assert watch.look(None, after_s=60, **quiet).cleared == 2
    assert watch.look(None, after_s=30 * 60, **quiet).sent == 4
    assert webhook.titles[1:] == ["2 alerts raised, 2 cleared"]
    assert webhook.notices[1]["message"].count("BTCUSDT: ") == 2
    assert watch.look(None, after_s=31 * 60, **quiet).sent == 0


def test_without_an_address_alerts_are_kept_and_later_ones_alone_are_sent(
    watch: Watch, webhook: Webhook
) -> None:
    assert watch.look(FAILED, after_s=0, alert_urls=()).raised == 1
    assert watch.look(FAILED, after_s=1).sent == 0
    assert watch.look(SUCCEEDED, after_s=2).sent == 1
    assert webhook.titles == ["Cleared: bars: a later run succeeded"]


def test_an_alert_whose_rule_is_switched_off_ends_in_silence(
    watch: Watch, webhook: Webhook
) -> None:
    watch.look(FAILED, after_s=0)
    outcome = watch.look(FAILED, after_s=1, alert_rules=("open_gap",))
    assert outcome.current.is_empty()
    assert watch.only["cleared_message"] == "no longer watched"
    assert len(webhook.notices) == 1


def test_an_address_that_cannot_be_used_is_named_without_its_secret(watch: Watch) -> None:
    wrong = (SecretStr(f"slak://{TOKEN}/{TOKEN}"),)
    with pytest.raises(ValueError, match=r"alert_urls: address 1 \(scheme slak\)") as refused:
        watch.look(FAILED, after_s=0, alert_urls=wrong)
    assert TOKEN not in str(refused.value)
    assert watch.only["raised_delivery"] == "waiting"


def test_a_date_has_the_alerts_that_touch_it(watch: Watch) -> None:
    hour = 3600
    for after_s, value in ((0, FAILED), (2 * hour, SUCCEEDED), (20 * hour, FAILED)):
        watch.look(value, after_s=after_s)

    def on(day: int, *subjects: str) -> list[datetime]:
        where = reading.utc_day(watch.settings.venue, date(2024, 8, day))
        found = reading.read_alerts(watch.connection, where, subjects=subjects or None)
        return found["raised_at"].to_list()

    assert on(8) == []
    assert on(9) == [_at(0)]
    assert on(10) == [_at(20 * hour)]
    assert on(11) == [_at(20 * hour)]  # still open
    assert on(9, "bars") == [_at(0)]
    assert on(9, "BTCUSDT/ETHUSDT") == []
