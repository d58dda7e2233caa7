"""`dialect_of`: a dialect from its name, or from a call that is read and never evaluated."""

import pytest

import nirjax
from nirjax import dialects
from nirjax.dialects import dialect_of, names


def test_a_dialect_is_itself():
    given = dialects.norse()
    assert dialect_of(given) is given


@pytest.mark.parametrize("name", names())
def test_a_name_is_the_preset_with_its_defaults(name):
    assert dialect_of(name) == getattr(dialects, name)()


@pytest.mark.parametrize("name", names())
def test_what_a_dialect_is_called_gives_it_back(name):
    given = getattr(dialects, name)()
    assert dialect_of(given.name) == given


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("snntorch(reset_delay=False)", dialects.snntorch(reset_delay=False)),
        (" snntorch ( reset_mechanism = 'zero' , reset_delay = True )", dialects.snntorch("zero")),
        ("sinabs(min_v_mem=-1.5, norm_input=False)", dialects.sinabs(min_v_mem=-1.5, norm_input=False)),
        ("norse_import(reset_method='subtract')", dialects.norse_import("subtract")),
        ("nir()", dialects.nir()),
    ],
)
def test_a_call_with_literals(text, wanted):
    assert dialect_of(text.strip()) == wanted


@pytest.mark.parametrize("name", ["snntorsh", "nir2()", "NIR", "Dialect", "dialect_of()", "print"])
def test_an_unknown_preset_is_answered_with_the_known_ones(name):
    with pytest.raises(nirjax.ArgumentError) as error:
        dialect_of(name)
    assert all(known in str(error.value) for known in names())
    assert name in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        *("", "snntorch(", "snntorch('zero')", "snntorch(reset_delay)", "snntorch(*[1])", "a.b()", "nir();nir()"),
        *("snntorch()()", "1", "'nir'", "[nir]", "nir if 1 else exact", "lambda: 0", "nir\0", "nir\n=1", "(" * 300),
        *("snntorch(reset_delay=not True)", "snntorch(reset_delay=nir())", "nir(x=(y := 1))", "nir(x=f'{1}')"),
    ],
)
def test_anything_but_a_name_or_a_call_with_literals_is_refused(text):
    with pytest.raises(nirjax.ArgumentError, match=r"(?s)not a dialect.*literal values"):
        dialect_of(text)


def test_nothing_is_evaluated(tmp_path):
    mark = tmp_path / "mark"
    for inner in (f"open({str(mark)!r}, 'w')", f"__import__('pathlib').Path({str(mark)!r}).touch()"):
        for text in (f"snntorch(reset_delay={inner})", inner, f"nir(**{{'x': {inner}}})"):
            with pytest.raises(nirjax.ArgumentError):
                dialect_of(text)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nir(dt=1)", "dt"),
        ("snntorch(reset='zero')", "reset"),
        ("snntorch(**{'reset_delay': False})", "reset_delay|\\*\\*"),
        ("snntorch(reset_mechanism='zeros')", "zeros; expected one of subtract, zero, none"),
        ("snntorch(reset_mechanism=0)", "0; expected one of subtract"),
        ("sinabs(spike_fn='Multi')", "one of MultiSpike, SingleSpike"),
        ("sinabs(reset_fn=None)", "one of MembraneSubtract, MembraneReset"),
        ("sinabs(min_v_mem='low')", "found low"),
        ("norse(reset_method='zero')", "one of value, subtract"),
        ("norse_import(reset_method='zero')", "one of value, subtract"),
        ("spyx(flatten='HWC')", "one of channels_first, channels_last"),
    ],
)
def test_an_argument_that_a_preset_does_not_take(text, words):
    with pytest.raises(nirjax.ArgumentError, match=words):
        dialect_of(text)


@pytest.mark.parametrize("given", [None, 1, ["nir"], b"nir", dialects.nir])
def test_something_else_is_no_dialect(given):
    with pytest.raises(nirjax.ArgumentError, match="not a dialect"):
        dialect_of(given)
