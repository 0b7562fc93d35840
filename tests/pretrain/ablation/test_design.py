"""Designs and arms: what is refused, and what a file says."""

from __future__ import annotations

import pytest
import yaml

from pipeline.errors import ConfigError
from pretrain.ablation.design import Arm, Design, HeldOut, load_design, make_design, named_inputs
from pretrain.ablation.experiment import check_arms, run_ablation, steps_of
from pretrain.ablation.prepare import Ready, ReadyArm

HELD = {"held_out": {"wiki": ["wiki.jsonl"]}}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sedes": 3}, "did you mean 'seeds'"),
        ({"seeds": 0}, "seeds must be a whole number of at least 1"),
        ({"seeds": 5000}, "at most 1000"),
        ({"margin": -0.1}, "margin must not be negative"),
        ({"margin": float("nan")}, "margin must be a number"),
        ({"alpha": 0.0}, "alpha must be above 0"),
        ({"max_overlap": 1.5}, "at most 1"),
        ({"on_overlap": "drp"}, "did you mean 'drop'"),
        ({"compare": "some"}, "compare is one of all, first"),
        ({"readings": ["words"]}, "readings are of tokens, bytes"),
        ({"judge": ["held_out/wki"]}, "did you mean 'held_out/wiki'"),
        ({"judge": []}, "judge names no figure"),
        ({"held_out": ["a"]}, "maps names to lists"),
        ({"held_out": {"a b": ["x"]}}, "letters, digits"),
        ({"held_out": {"a": []}}, "needs files"),
        ({"held_out": {}}, "nothing to measure on"),
        ({"size": "tny"}, "did you mean 'tiny'"),
        ({"training": {"steps": 3}}, "say steps in place of training.steps"),
        ({"training": {"optm": {}}}, "did you mean 'optim'"),
        ({"training": {"optim": {"schedule": "wds"}}}, "did you mean 'wsd'"),
        ({"tokenizer": "a.json", "tokenizer_text": ["b.jsonl"]}, "not both"),
    ],
)
def test_what_cannot_work_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        make_design({**HELD, **options})


def test_a_design_file_goes_there_and_back(tmp_path):
    made = make_design({**HELD, "seeds": 3, "training": {"optim": {"schedule": "wsd"}}, "judge": ["held_out/wiki"]})
    path = tmp_path / "design.yaml"
    path.write_text(yaml.safe_dump({"arms": {}, "design": made.plain()}))
    assert load_design(path).plain() == made.plain()
    assert load_design(path, seeds=7).seed_list == tuple(range(7))
    config = made.train_config(4, 90)
    assert (config.seed, config.steps, config.optim.schedule, config.optim.lr) == (4, 90, "wsd", made.lr)
    path.write_text("[1]")
    with pytest.raises(ConfigError, match="must be a mapping"):
        load_design(path)
    with pytest.raises(ConfigError, match="is not a file"):
        load_design(tmp_path / "absent.yaml")


def test_tokens_stand_for_steps():
    assert make_design({**HELD, "tokens": 1_000_000}).run_steps == round(1_000_000 / (8 * 256))
    assert Design(tokens=1).run_steps == 1


def test_names(tmp_path):
    assert named_inputs(Arm, ["a=b=c", "d"]) == Arm(name="a", inputs=("b=c", "d"))
    for words in (["a"], ["=b"], ["a="], ["a/b=c"], ["../x=c"]):
        with pytest.raises(ConfigError):
            named_inputs(HeldOut, words)
    one = Arm(name="a", inputs=("x",))
    with pytest.raises(ConfigError, match="at least two arms"):
        check_arms([one])
    with pytest.raises(ConfigError, match="two arms are called 'a'"):
        run_ablation([one, one], make_design(HELD), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_equal_bytes_are_equal_bytes(tmp_path):
    """Arm a has 3, b 4 and c 3.99 bytes a token, b's packs are filled to three quarters."""
    arms = tuple(
        ReadyArm(name, "documents", "", "", 1, text_bytes, tokens, 1000)
        for name, text_bytes, tokens in (("a", 3 * 64000, 64000), ("b", 4 * 48000, 48000), ("c", 255_360, 64000))
    )
    ready = Ready(make_design({**HELD, "steps": 300, "sequence_length": 64}), arms, (), "", {}, ())
    assert steps_of(ready, "tokens") == {"a": 300, "b": 300, "c": 300}
    steps = steps_of(ready, "bytes")
    assert steps == {"a": 300, "b": 300, "c": round(300 * 3 / 3.99)}
    seen = [steps[arm.name] * arm.text_bytes / arm.sequences for arm in arms]
    assert max(seen) / min(seen) < 1 + 1 / steps["c"]
