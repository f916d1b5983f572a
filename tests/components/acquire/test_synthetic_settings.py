"""Settings of synthetic streets: every value checked once, and every hostile URI answered with a sentence."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from belisha.components.acquire.synthetic import CONDITIONS, StreetSettings, parse_conditions, parse_synthetic_uri
from belisha.components.acquire.synthetic.folder import source_uri
from belisha.components.acquire.synthetic.world import moment_of
from belisha.components.shared.errors import InputError

SHARES = st.dictionaries(st.sampled_from(CONDITIONS), st.floats(0.01, 100), min_size=1)


@st.composite
def settings(draw: st.DrawFn) -> StreetSettings:
    least = draw(st.integers(0, 60))
    return StreetSettings(
        pictures=draw(st.integers(1, 1_000_000)),
        seed=draw(st.integers(0, 2**63 - 1)),
        width_px=draw(st.integers(160, 4096)),
        height_px=draw(st.integers(96, 4096)),
        conditions=tuple(draw(SHARES).items()),
        pedestrians=(least, draw(st.integers(least, 60))),
        cameras=draw(st.integers(1, 10_000)),
        pictures_per_sequence=draw(st.integers(1, 1000)),
        first_index=draw(st.integers(0, 1_000_000_000)),
        jpeg_quality=draw(st.integers(30, 100)),
    )


def test_the_documented_uri_is_read() -> None:
    read = parse_synthetic_uri(
        "synthetic://streets?pictures=300&seed=7&conditions=day:0.6,night:0.4&width=800&height=448"
    )
    assert read == StreetSettings(300, 7, 800, 448, (("day", 0.6), ("night", 0.4)))


def test_a_uri_without_a_query_gives_the_defaults() -> None:
    assert parse_synthetic_uri("synthetic://streets") == StreetSettings()


@given(settings())
def test_the_recorded_uri_gives_the_same_settings_back(original: StreetSettings) -> None:
    read = parse_synthetic_uri(source_uri(original))
    assert dict(read.conditions) == pytest.approx(dict(original.conditions))
    assert source_uri(read).split("conditions")[0] == source_uri(original).split("conditions")[0]
    assert (read.pedestrians, read.cameras, read.first_index) == (
        original.pedestrians,
        original.cameras,
        original.first_index,
    )


@given(SHARES)
def test_shares_sum_to_one_in_a_fixed_order(shares: dict[str, float]) -> None:
    found = StreetSettings(conditions=tuple(shares.items())).conditions
    assert math.fsum(share for _, share in found) == pytest.approx(1)
    assert [name for name, _ in found] == [name for name in CONDITIONS if name in shares]


@given(settings(), st.integers(0, 10**9))
def test_a_moment_is_one_of_the_settings(given_: StreetSettings, index: int) -> None:
    moment = moment_of(given_, index)
    assert 0 <= moment.camera < given_.cameras
    assert 0 <= moment.frame < given_.pictures_per_sequence
    assert moment.sequence * given_.pictures_per_sequence + moment.frame == index
    assert moment.condition in dict(given_.conditions)


def test_even_few_sequences_come_near_the_shares_asked_for() -> None:
    wanted = StreetSettings(conditions=(("day", 0.5), ("night", 0.3), ("rain", 0.2)), pictures_per_sequence=1)
    found = [moment_of(wanted, index).condition for index in range(40)]
    for name, share in wanted.conditions:
        assert found.count(name) / 40 == pytest.approx(share, abs=0.06), name


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("synthetic://streets?colour=red", "unknown key 'colour'"),
        ("synthetic://streets?pictures=3&pictures=4", "gives 'pictures' twice"),
        ("synthetic://streets?pictures=0", "pictures: expected 1 to 1000000, got 0"),
        ("synthetic://streets?pictures=-4", "expected a whole number, got '-4'"),
        ("synthetic://streets?pictures=1e9", "expected a whole number"),
        ("synthetic://streets?pictures=99999999999999999999999999", "expected a whole number"),
        ("synthetic://streets?pictures=٣", "expected a whole number"),
        ("synthetic://streets?pictures=", "expected a whole number, got ''"),
        ("synthetic://streets?pictures", "no readable URI"),
        ("synthetic://streets?seed=9223372036854775808", "seed: expected"),
        ("synthetic://streets?width=100000", "width: expected 160 to 4096"),
        ("synthetic://streets?height=5", "height: expected 96 to 4096"),
        ("synthetic://streets?conditions=", "no condition ''"),
        ("synthetic://streets?conditions=snow", "no condition 'snow'"),
        ("synthetic://streets?conditions=day:0", "no condition has a share above 0"),
        ("synthetic://streets?conditions=day:-1", "expected 0 or more"),
        ("synthetic://streets?conditions=day:nan", "expected 0 or more"),
        ("synthetic://streets?conditions=day:inf", "expected 0 or more"),
        ("synthetic://streets?conditions=day:many", "expected a number, got 'many'"),
        ("synthetic://streets?conditions=day,day", "stands twice"),
        ("synthetic://streets?pedestrians=5-2", "pedestrians (most): expected 5 to 60"),
        ("synthetic://streets?pedestrians=0-900", "pedestrians (most)"),
        ("synthetic://streets?cameras=0", "cameras: expected 1"),
        ("synthetic://streets?sequence=0", "sequence: expected 1"),
        ("synthetic://streets?quality=1", "quality: expected 30"),
        ("synthetic://streets/../../etc/passwd", "no synthetic source"),
        ("synthetic://roads?pictures=3", "no synthetic source"),
        ("synthetic:streets", "no synthetic source"),
        ("http://streets?pictures=3", "no synthetic source"),
        ("synthetic://[", "no readable URI"),
        ("", "no synthetic source"),
        ("synthetic://streets?" + "&".join(["seed=1"] * 80), "no readable URI"),
    ],
)
def test_a_hostile_uri_gets_one_sentence(uri: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_synthetic_uri(uri)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_query_is_read_or_refused(query: str) -> None:
    with contextlib.suppress(InputError):
        assert isinstance(parse_synthetic_uri(f"synthetic://streets?{query}"), StreetSettings)


@given(st.text(alphabet="daynighrfo:,.0123456789-", max_size=30))
def test_any_conditions_are_read_or_refused(text: str) -> None:
    with contextlib.suppress(InputError):
        assert math.fsum(share for _, share in parse_conditions(text)) == pytest.approx(1)
