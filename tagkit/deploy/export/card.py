"""The model card of a package."""

from math import nan

from tagkit.data import datasets
from tagkit.evaluation.classes import Classes
from tagkit.evaluation.intervals import Interval

_OTHER_DATA = "The recordings and tags of the dataset named {dataset}; see there what they are and under which terms."


def text(content: dict, runtime: str) -> str:
    """The card in Markdown.

    Parameters
    ----------
    content : dict
        As in model.json.
    runtime : str
        What to install beside numpy, soundfile and soxr.
    """
    seconds = content["window"] / content["sample_rate"]
    return f"""\
# {content["model"]}: a music tagger

A convolutional network from {seconds:.1f} s of waveform to {len(content["tags"])} tags: {", ".join(content["tags"])}.
Architecture: {content["architecture"]}.
{_origin(content)}

## Use

After `pip install numpy soundfile soxr {runtime}`, `python tag.py SONG` prints every tag's score. Files that libsndfile
does not read to their end go through ffmpeg, if it is installed. What cannot be read, or is damaged, is named with the
reason, and silence is called silence. An hour of music takes about a quarter of a gigabyte beside the runtime.

- **Input**: {content["input"]}; {content["sample_rate"]} Hz, {content["window"]} samples.
- **Windows of a file**: {content["windows_of_a_file"]}. A shorter file is followed by silence.
- **Output**: {content["output"]}. The order of the tags is that of `tags` in model.json.
- **Checked**: on {content["checked"]["windows"]} {content["checked"]["of"]}, no score was more than
  {content["checked"]["largest_difference"]:.1g} from that of the network as it was trained.

## Data

{_data(content)}

## Scores

{_scores(content)}

## Intended use, and limits

- For finding and sorting music like that which it was trained on, and for studying what such networks learn.
- A score is no fact: see above how often it is right. On other music it may be wrong with confidence.
- It knows its {len(content["tags"])} tags and no others; that none of them scores high says nothing about the music.
- Not for decisions about people: who is paid, promoted or removed.
"""


def _origin(content: dict) -> str:
    about = content["imported"]
    if about is None:
        return f"Trained with tagkit {content['trained_with']['tagkit']}, seed {content['seed']}."
    published = ", ".join(f"{name} {score:.4f}" for name, score in about["scores"].items()) or "none"
    return (
        f"The weights are those of {about['paper']} (licence {about['licence']}), from\n{about['source']}; imported "
        f"with tagkit {content['trained_with']['tagkit']} and compared with {about['checked']}.\n"
        f"Published scores: {published} ({about['scored_on'] or 'it tags nothing'})."
    )


def _data(content: dict) -> str:
    trained, dataset = content["trained_on"], content["trained_on"]["dataset"]
    about = datasets.ABOUT.get(dataset, _OTHER_DATA).format(dataset=dataset)
    if content["imported"]:
        return f"{about}\n\nWhat the network learned from: {content['imported']['trained_on']}."
    sizes = ", ".join(f"{part} {count}" for part, count in trained["split_sizes"].items())
    return f'{about}\n\nSplit "{trained["split"]}": {sizes} clips; records {trained["data"]}.'


def _scores(content: dict) -> str:
    scores, measured = content["scores"], content["calibration"]
    if scores is None:
        return content["unknown"]
    roc, pr = (Interval(scores[m], *(scores[f"{m}_ci"] or (nan, nan))) for m in ("roc_auc", "pr_auc"))
    lines = [
        f'On the {scores["clips"]} clips of the {scores["part"]} part (split "{scores["split"]}"): '
        f"macro ROC-AUC {roc}, macro PR-AUC {pr} ({scores['interval']}).",
        *_accuracies(scores.get("classes")),
        "",
        "| tag | clips with it | ROC-AUC | PR-AUC |",
        "|---|---|---|---|",
    ]
    for tag, row in sorted(scores["tags"].items(), key=lambda item: -item[1]["roc_auc"]):
        lines.append(f"| {tag} | {row['positives']} | {row['roc_auc']:.3f} | {row['pr_auc']:.3f} |")
    lines += [
        "",
        f"Calibration, on the {measured['clips']} clips of the {measured['part']} part: scores and the shares of right "
        f"tags are {measured['expected_calibration_error']:.3f} apart on average.",
        "",
        "| scored | pairs of clip and tag | right |",
        "|---|---|---|",
    ]
    for row in measured["bins"]:
        right = "" if row["share"] is None else f"{round(100 * row['share'])} %"
        lines.append(f"| {row['from']:.1f} to {row['to']:.1f} | {row['pairs']} | {right} |")
    return "\n".join(lines)


def _accuracies(content: dict | None) -> list[str]:
    if content is None:
        return []
    found = Classes.from_json(content)
    return [
        "",
        f"As one of {len(found.names)} classes: accuracy {found.accuracy}, balanced {found.balanced_accuracy}.",
    ]
