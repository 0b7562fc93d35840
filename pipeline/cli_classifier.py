"""The commands `gristmill classifier train|eval|calibrate`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from .arguments import output_path
from .storage.mirror import staged

_HELP = """Trains, judges and calibrates text classifiers in fastText's format: the models behind the filters
`quality`, `web_spam`, `toxicity` and behind any filter of your own."""

_TRAIN_HELP = """Trains a classifier and writes MODEL.ftz (quantised, a few MB), MODEL.json (the card that filters read)
and MODEL.md (the same for people).

From labelled files (JSON lines, Parquet, or text with `__label__NAME` before each line), or from files of good
examples (--positive) and of ordinary crawl (--unlabelled). Whole groups (sources, sites) are held out for the test, so
that no document of a source is on both sides, and no text is on both. The same command gives the same bytes."""

_TRAIN_EPILOG = """
examples:
  gristmill classifier train --positive reference/*.jsonl.gz --unlabelled crawl/*.parquet \\
      --preset dclm --bucket 200000 -o good.ftz
  gristmill classifier train comments.jsonl --label-field is_hate --map 1=hate --map 0=other \\
      --positive-label hate --preset toxicity --licence davidson=MIT -o hate.ftz
  gristmill classifier train labelled.txt --positive-label spam --preset wikipedia --epoch 10 -o spam.ftz

presets:
  dclm       word bigrams, 100 dimensions, lr 0.1, 5 epochs; threshold at the top tenth of held-out other documents
  wikipedia  encyclopaedic or referenced text against raw web, as CCNet and GPT-3 did; small letters, signs apart
  toxicity   word bigrams and 2 to 5 letters, so that spellings and scripts without spaces are covered

--bucket decides memory while training: bucket x dim x 4 bytes (2 million x 100: 800 MB).
"""

_EVAL_HELP = """Judges a classifier on labelled files: ROC-AUC with its bootstrap interval (whole groups are drawn),
average precision, precision, recall and false-positive rate at the threshold; by language, by source and within thirds
of length; and beside the length of documents alone, which many a quality model hardly beats."""

_EVAL_EPILOG = """
examples:
  gristmill classifier eval good.ftz human_labels.jsonl --label-field quality --map good=positive --map bad=unlabelled
  gristmill classifier eval good.ftz test.parquet --against older.ftz --json eval.json
  gristmill classifier eval hf://org/repo/model.bin test.jsonl --positive-label hq --threshold 0.018
"""

_CALIBRATE_HELP = """Sets a classifier's threshold: a value, a quantile of a corpus (0.9 = the top tenth passes), or
what labelled documents need for a precision or a false-positive rate. Writes the model's card, from which filters take
threshold and `quantile`; with --print only the lines for a recipe are printed."""

_CALIBRATE_EPILOG = """
examples:
  gristmill classifier calibrate good.ftz runs/mine/04-minhash/kept/*.parquet --quantile 0.9
  gristmill classifier calibrate hate.ftz labelled.jsonl --precision 0.95
  gristmill classifier calibrate hate.ftz labelled.jsonl --false-positive-rate 0.01 --print
  gristmill classifier calibrate hate.ftz --threshold 0.7
"""


def add_commands(sub: Any) -> None:
    """Add `classifier` with its three commands to the parsers of `gristmill`."""
    command = sub.add_parser(
        "classifier", help="train, judge and calibrate quality, spam and toxicity models", description=_HELP
    )
    command.set_defaults(function=lambda args: command.print_help() or 0)
    inner = command.add_subparsers(dest="classifier_command", metavar="train|eval|calibrate")
    _add_train(inner)
    _add_eval(inner)
    _add_calibrate(inner)


def _parser(inner: Any, name: str, text: str, description: str, epilog: str) -> argparse.ArgumentParser:
    found: argparse.ArgumentParser = inner.add_parser(
        name, help=text, description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("--quiet", action="store_true", help="no progress and no tables, errors only")
    return found


def _field_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what the files hold")
    group.add_argument("--text-field", default="text", metavar="NAME", help="key or column of texts (default: text)")
    group.add_argument("--label-field", default="label", metavar="NAME", help="of labels (default: label)")
    group.add_argument("--lang-field", default="lang", metavar="NAME", help="of languages, if any (default: lang)")
    group.add_argument("--source-field", default="source", metavar="NAME", help="of sources, if any (default: source)")
    group.add_argument(
        "--group-field",
        default="",
        metavar="NAME",
        help="of groups that stay on one side; - = each document (default: source, else site of `url`, else file)",
    )
    group.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="LABEL=NAME",
        help="rename a label; LABEL= leaves it out",
    )


def _add_train(inner: Any) -> None:
    import dataclasses

    from filters.classifier.normalisation import Normalisation
    from filters.classifier.presets import PRESETS, Settings

    command = _parser(inner, "train", "labelled texts -> a quantised model with a card", _TRAIN_HELP, _TRAIN_EPILOG)
    command.add_argument("inputs", nargs="*", help="labelled files, folders or globs")
    command.add_argument("--positive", nargs="+", default=[], metavar="FILE", help="files of good examples, unlabelled")
    command.add_argument("--unlabelled", nargs="+", default=[], metavar="FILE", help="files of ordinary documents")
    command.add_argument(
        "--output", "-o", type=output_path, required=True, metavar="MODEL.ftz", help="the model to write"
    )
    command.add_argument("--positive-label", default="", metavar="NAME", help="label whose probability is the score")
    command.add_argument("--preset", default="dclm", metavar="NAME", help=f"{', '.join(PRESETS)} (default: dclm)")
    command.add_argument("--test-share", type=float, default=0.2, metavar="X", help="held out (default: 0.2)")
    command.add_argument("--threshold", type=float, metavar="X", help="to recommend (default: the preset's rule)")
    command.add_argument("--description", default="", metavar="TEXT", help="for the card")
    command.add_argument("--limits", default="", metavar="TEXT", help="for the card: what the model is no good for")
    command.add_argument("--languages", nargs="+", default=[], metavar="CODE", help="it serves (default: all)")
    command.add_argument(
        "--licence", action="append", default=[], metavar="SOURCE=TEXT", help="a source's licence, for the card"
    )
    _field_options(command)
    group = command.add_argument_group("options of the preset (default: as the preset has them)")
    for cls in (Settings, Normalisation):
        for f in dataclasses.fields(cls):
            if f.name == "normalisation":
                continue
            flag = "--" + f.name.replace("_", "-")
            more: dict[str, Any] = {"dest": f"set_{f.name}", "default": None, "help": f.metadata.get("help")}
            if f.type == "bool":
                group.add_argument(flag, action=argparse.BooleanOptionalAction, **more)
            else:
                kind = str if f.type == "str" else (int if f.type == "int" else float)
                group.add_argument(flag, type=kind, metavar="X", **more)
    command.set_defaults(function=_train)


def _add_eval(inner: Any) -> None:
    command = _parser(inner, "eval", "a model and labelled texts -> figures", _EVAL_HELP, _EVAL_EPILOG)
    command.add_argument("model", help="a bundled model's name, a .ftz or .bin file, or an address")
    command.add_argument("inputs", nargs="+", help="labelled files, folders or globs")
    command.add_argument("--positive-label", default="", metavar="NAME", help="label scored (default: the card's)")
    command.add_argument("--threshold", type=float, metavar="X", help="(default: the card's, else 0.5)")
    command.add_argument("--against", metavar="MODEL", help="another model, for the paired difference in ROC-AUC")
    command.add_argument("--draws", type=int, default=1000, metavar="N", help="of the bootstrap (default: 1000)")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="of the draws (default: 0)")
    command.add_argument("--json", type=output_path, metavar="FILE", help="write all figures")
    _field_options(command)
    command.set_defaults(function=_eval)


def _add_calibrate(inner: Any) -> None:
    command = _parser(inner, "calibrate", "choose a model's threshold", _CALIBRATE_HELP, _CALIBRATE_EPILOG)
    command.add_argument("model", help="a bundled model's name, a .ftz or .bin file, or an address")
    command.add_argument("inputs", nargs="*", help="documents (--quantile), or labelled documents")
    how = command.add_mutually_exclusive_group(required=True)
    how.add_argument("--threshold", type=float, metavar="X", help="this value")
    how.add_argument("--quantile", type=float, metavar="Q", help="this quantile of the documents' scores")
    how.add_argument("--precision", type=float, metavar="P", help="the lowest threshold with this precision")
    how.add_argument("--false-positive-rate", type=float, metavar="R", help="the lowest with at most this rate")
    command.add_argument("--positive-label", default="", metavar="NAME", help="label scored (default: the card's)")
    command.add_argument("--print", action="store_true", dest="print_only", help="leave the card as it is")
    _field_options(command)
    command.set_defaults(function=_calibrate)


def _pairs(given: list[str], option: str) -> dict[str, str]:
    from .errors import ConfigError

    found = {}
    for word in given:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise ConfigError(f"{option} '{word}' must read NAME=VALUE")
        found[name] = value
    return found


def _fields(args: argparse.Namespace) -> Any:
    from filters.classifier.reading import Fields

    return Fields(
        args.text_field,
        args.label_field,
        args.source_field,
        args.lang_field,
        args.group_field,
        _pairs(args.map, "--map"),
    )


def _train(args: argparse.Namespace) -> int:
    import pyarrow as pa

    from filters.classifier.evaluation import sections
    from filters.classifier.presets import preset
    from filters.classifier.reading import POSITIVE, UNLABELLED, read_labelled, read_one_label
    from filters.classifier.training import train

    from .errors import ConfigError
    from .progress import Progress
    from .report import print_sections

    changes = {k.removeprefix("set_"): v for k, v in vars(args).items() if k.startswith("set_") and v is not None}
    settings = preset(args.preset, **changes)
    licences = _pairs(args.licence, "--licence")
    progress, fields = Progress(quiet=args.quiet), _fields(args)
    if bool(args.positive) != bool(args.unlabelled):
        raise ConfigError("classifier train: --positive and --unlabelled go together")
    if bool(args.positive) == bool(args.inputs):
        raise ConfigError("classifier train: give labelled files, or --positive and --unlabelled files")
    if args.positive:
        positive = args.positive_label or POSITIVE
        table = pa.concat_tables(
            [
                read_one_label(args.positive, positive, fields, progress),
                read_one_label(args.unlabelled, UNLABELLED, fields, progress),
            ]
        )
    else:
        positive = args.positive_label
        table = read_labelled(args.inputs, fields, progress)
        if not positive:
            names = sorted(table["label"].unique().to_pylist())
            raise ConfigError(f"classifier train: name the label that is scored by --positive-label; there are {names}")
    sources = sorted(table["source"].unique().to_pylist())
    unknown = sorted(set(licences) - set(sources))
    if unknown:
        raise ConfigError(f"--licence: no document is of the source {unknown}; there are {sources[:20]}")
    with staged(args.output) as output:
        trained = train(
            table,
            output,
            settings,
            positive=positive,
            description=args.description,
            data=[{"source": source, "licence": licences.get(source, "not stated")} for source in sources],
            languages=args.languages,
            limits=args.limits,
            test_share=args.test_share,
            threshold=args.threshold,
            progress=progress,
        )
    if not args.quiet:
        if trained.card.evaluation:
            print_sections(sections(trained.card.evaluation), sys.stdout)
        for ending in (args.output.suffix, ".json", ".md"):
            print(f"written: {args.output.with_suffix(ending)}")
    return 0


def _loaded(args: argparse.Namespace, named: str, where: str) -> Any:
    """A classifier whose card names the positive label that the command line gives, if it gives one."""
    import dataclasses

    from filters.classifier.filter import model_path
    from filters.classifier.model import load

    found = load(model_path(named, where))
    if args.positive_label:
        found = dataclasses.replace(found, card=dataclasses.replace(found.card, positive=args.positive_label))
    found.position(found.positive())
    return found


def _eval(args: argparse.Namespace) -> int:
    from filters.classifier.evaluation import compare, evaluate, sections
    from filters.classifier.reading import read_labelled

    from .errors import ConfigError
    from .progress import Progress
    from .report import print_sections
    from .store import write_json

    if args.draws < 1:
        raise ConfigError("--draws must be at least 1")
    if args.seed < 0:
        raise ConfigError(f"classifier eval: --seed must be 0 or more, not {args.seed}")
    if args.threshold is not None and not 0 <= args.threshold <= 1:
        raise ConfigError(f"classifier eval: --threshold must lie in [0, 1], not {args.threshold}")
    classifier = _loaded(args, args.model, "classifier eval")
    other = _loaded(args, args.against, "classifier eval --against") if args.against else None
    table = read_labelled(args.inputs, _fields(args), Progress(quiet=args.quiet))
    labels = table["label"].unique().to_pylist()
    if classifier.positive() not in labels:
        raise ConfigError(
            f"classifier eval: no document has the label '{classifier.positive()}' that the model scores; there are "
            f"{sorted(labels)}: rename them by --map LABEL={classifier.positive()}"
        )
    threshold = args.threshold if args.threshold is not None else classifier.card.threshold
    found = evaluate(
        classifier, table, threshold=0.5 if threshold is None else threshold, draws=args.draws, seed=args.seed
    )
    if other is not None:
        found["against"] = {
            "model": args.against,
            **compare(classifier, other, table, draws=args.draws, seed=args.seed),
        }
    if args.json is not None:
        write_json(args.json, {"model": args.model, **found})
    if not args.quiet:
        print_sections(sections(found), sys.stdout)
        if args.json is not None:
            print(f"written: {args.json}")
    return 0


def _calibrate(args: argparse.Namespace) -> int:
    from filters.classifier import calibration
    from filters.classifier.card import card_path
    from filters.classifier.filter import bundled_models
    from filters.classifier.reading import read_labelled

    from .errors import ConfigError
    from .progress import Progress

    classifier = _loaded(args, args.model, "classifier calibrate")
    progress = Progress(quiet=args.quiet)
    if args.threshold is None and not args.inputs:
        raise ConfigError("classifier calibrate: name the documents to calibrate on")
    if args.threshold is not None:
        card = calibration.by_value(classifier.card, args.threshold)
    elif args.quantile is not None:
        scores = calibration.corpus_scores(classifier, args.inputs, text_field=args.text_field, progress=progress)
        card = calibration.by_quantile(classifier.card, scores, args.quantile)
    else:
        table = read_labelled(args.inputs, _fields(args), progress)
        card = calibration.by_labels(
            classifier.card, classifier, table, precision=args.precision, rate=args.false_positive_rate
        )
    if args.model in bundled_models() and not args.print_only:
        print(f"gristmill: '{args.model}' is bundled and its card stays as it is", file=sys.stderr)
    elif not args.print_only:
        card.write(card_path(classifier.path))
        if not args.quiet:
            print(f"written: {card_path(classifier.path)}")
    print(f"threshold: {card.threshold:.9g}")
    return 0
