from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from belisha.components.shared.errors import InputError
from belisha.components.shared.kfp_client.cron import check_cron


@pytest.mark.parametrize(
    "text",
    [
        "0 0 3 * * 1",
        "0 30 2 1,15 * ?",
        "*/10 * * * * *",
        "0 0 0-6/2 * JAN-mar MON",
        "59 59 23 31 12 6",
        "5/15 * * * * *",
    ],
)
def test_what_kfp_understands_is_taken(text: str) -> None:
    assert check_cron(f"  {text.replace(' ', '   ')} ") == text


def test_five_fields_are_refused_with_what_was_meant() -> None:
    with pytest.raises(InputError, match=r"most likely '0 10 10 \* \* \*'"):
        check_cron("10 10 * * *")


@pytest.mark.parametrize(
    "text",
    [
        *("", "* * * *", "* * * * * * *", "@weekly", "60 * * * * *", "* 60 * * * *", "* * 24 * * *", "* * * 0 * *"),
        *(
            "* * * 32 * *",
            "* * * * 13 *",
            "* * * * * 7",
            "* * * * * */0",
            "5-1 * * * * *",
            "a * * * * *",
            "1,,2 * * * * *",
        ),
        *("-1 * * * * *", "* * * * * mon-", "1.5 * * * * *", "* * * * MON *", "٣ * * * * *", "* * * * * */00"),
    ],
)
def test_what_kfp_refuses_or_misreads_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        check_cron(text)


@given(st.text(alphabet="0123456789*/-,? amonjx", max_size=30))
def test_any_text_gives_six_fields_or_one_sentence(text: str) -> None:
    try:
        assert len(check_cron(text).split()) == 6
    except InputError as error:
        assert "\n" not in str(error)
