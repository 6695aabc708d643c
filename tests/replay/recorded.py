"""Recorded events with everything that late labels do, and what scikit-learn and pandas make of them."""

import json

import numpy as np
import pandas as pd
import sklearn
from sklearn import metrics

START_MS = 1_767_225_600_000  # 2026-01-01
# Checking each argument anew takes longer than the figures of a few pairs, in thousands of calls.
sklearn.set_config(assume_finite=True, skip_parameter_validation=True)


def make_events(seed=0, n=1_000, hours=2, start_ms=START_MS):
    """Return (inference events, label events) as lists of dicts, in no order."""
    rng = np.random.default_rng(seed)
    predictions, labels = [], []
    for model, versions in (("binary", ["1", "2"]), ("many", [""]), ("price", ["a"]), ("units", [""])):
        times = start_ms + rng.integers(0, hours * 3_600_000, n)
        for i, time_ms in enumerate(times):
            truth, said, scores = _draw(rng, model)
            failed = rng.random() < 0.03
            event = {
                "prediction_id": f"{model}-{i}",
                "model": model,
                "model_version": str(rng.choice(versions)),
                "timestamp": int(time_ms),
                "prediction": None if failed else said,
                "scores": scores,
                "features": {"amount": float(rng.normal()), "kind": str(rng.choice(["x", "y"]))},
                "segments": {"country": str(rng.choice(["DE", "FR"]))},
                "status": "timeout" if failed else "ok",
                "latency_ms": float(rng.lognormal(3, 1)),
                "cost": float(rng.random()) if rng.random() < 0.5 else None,
            }
            predictions.append(event)
            if rng.random() < 0.02:
                predictions.append(event | {"latency_ms": event["latency_ms"]})  # sent twice
            if rng.random() < 0.85:
                labels += _labels(rng, event, truth, model)
    return predictions, labels


def _draw(rng, model):
    if model == "binary":
        p = float(rng.random())
        truth = "fraud" if rng.random() < p else "fine"
        return truth, "fraud" if p > 0.5 else "fine", {"fraud": p}
    if model == "many":
        truth = int(rng.integers(0, 5))
        return truth, truth if rng.random() < 0.8 else int(rng.integers(0, 6)), None
    if model == "price":
        truth = float(rng.choice([rng.normal(0, 10), -1e6 + rng.normal(), 1e12 * rng.normal(), 0.0]))
        return truth, truth + float(rng.normal(0.3, 2)), None
    truth = int(rng.integers(0, 10_000))  # whole numbers, and too many of them to be classes
    return truth, truth + int(rng.integers(-50, 50)), None


def _labels(rng, event, truth, model):
    delay_ms = int(rng.exponential(1_800_000)) - 30_000  # some are early
    label = {
        "prediction_id": event["prediction_id"],
        "model": "",
        "label": truth,
        "timestamp": event["timestamp"] + delay_ms,
        "value": float(rng.normal()) if rng.random() < 0.3 else None,
    }
    out = [label]
    case = rng.random()
    other = "fine" if model == "binary" else 1 if model in ("many", "units") else 2.5
    if case < 0.05:
        out.append(dict(label))  # sent twice
    elif case < 0.10:
        out.append(label | {"label": other, "timestamp": label["timestamp"] + 60_000})  # corrected
    elif case < 0.15:
        out.append(label | {"label": other, "timestamp": label["timestamp"] - 60_000})  # an older one, later
    elif case < 0.18:
        out.append(label | {"label": None, "timestamp": label["timestamp"] + 60_000})  # withdrawn
    elif case < 0.21:
        out.append(label | {"label": other})  # two at the same moment: the larger is in force
    return out


def write(path, events):
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


def full_join(predictions, labels):
    """Return one row per prediction, with the label in force, by pandas."""
    p = pd.DataFrame(predictions).drop_duplicates(["model", "model_version", "prediction_id"])
    ranked = sorted(
        labels,
        key=lambda e: (e["prediction_id"], e["timestamp"], e["label"] is not None, _comparable(e["label"])),
    )
    last = {e["prediction_id"]: e for e in ranked}
    first = {}
    for e in labels:
        if e["label"] is not None:
            known = first.get(e["prediction_id"], e["timestamp"])
            first[e["prediction_id"]] = min(known, e["timestamp"])
    p["truth"] = [last.get(i, {}).get("label") for i in p["prediction_id"]]
    p["worth"] = [last.get(i, {}).get("value") for i in p["prediction_id"]]
    p["first_label_ms"] = [first.get(i) for i in p["prediction_id"]]
    p["ok"] = p["status"] == "ok"
    p["labelled"] = p["ok"] & p["truth"].notna()
    return p


def _comparable(value):
    return value if value is not None else ""


def probability_figures(came_true, chance):
    """Return log loss, Brier score and ece over ten bins of equal width of the positive class."""
    bins = pd.cut(chance, [*(i / 10 for i in range(10)), 1.1], right=False, labels=False)
    gaps = pd.Series(chance - came_true.astype(float)).groupby(bins).sum().abs()
    return {
        "log_loss": metrics.log_loss(came_true, chance, labels=[False, True]),
        "brier": metrics.brier_score_loss(came_true, chance, labels=[False, True]),
        "ece": gaps.sum() / len(chance),
    }


def expected(rows, model):
    """Return the figures of one window's rows as the textbook has them; None where they do not apply."""
    pairs = rows[rows["labelled"]]
    answered = int(rows["ok"].sum())
    figures = {
        "predictions": len(rows),
        "failures": int((~rows["ok"]).sum()),
        "labelled": len(pairs),
        "coverage": len(pairs) / answered if answered else None,
        "cost": rows["cost"].sum() if rows["cost"].notna().any() else None,
    }
    worth = pairs["worth"].dropna().astype(float)
    figures["value"] = worth.sum() if len(worth) else None
    names = ("accuracy", "precision", "recall", "f1", "mae", "rmse", "mape", "r2", "bias")
    figures |= dict.fromkeys((*names, "log_loss", "brier", "ece"))
    if not len(pairs):
        return figures
    if model in ("binary", "many"):
        truth, said = pairs["truth"].map(canonical), pairs["prediction"].map(canonical)
        p, r, f, _ = metrics.precision_recall_fscore_support(truth, said, average="macro", zero_division=0)
        figures |= {"accuracy": metrics.accuracy_score(truth, said), "precision": p, "recall": r, "f1": f}
        if model == "binary":
            chance = pairs["scores"].map(lambda scores: scores["fraud"]).to_numpy(float)
            figures |= probability_figures((truth == "fraud").to_numpy(bool), chance)
        return figures
    truth, said = pairs["truth"].astype(float), pairs["prediction"].astype(float)
    nonzero = truth != 0
    figures |= {
        "mae": metrics.mean_absolute_error(truth, said),
        "rmse": metrics.root_mean_squared_error(truth, said),
        "bias": (said - truth).mean(),
        "mape": metrics.mean_absolute_percentage_error(truth[nonzero], said[nonzero])
        if nonzero.any()
        else None,
        "r2": metrics.r2_score(truth, said) if truth.nunique() > 1 else None,
    }
    return figures


def canonical(value):
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
