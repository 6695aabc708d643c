"""The two simulated models: what they see, what they answer, and what turns out to be true."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aftcast.simulation.columns import BoolArray, Draws

FloatArray = npt.NDArray[np.float64]

FRAUD, PRICE = "fraud", "price"
COUNTRIES = np.array(["DE", "FR", "ES", "IT", "PL", "NL"], object)
DEVICES = np.array(["mobile", "web", "terminal"], object)
MERCHANTS = np.array(
    ["grocery", "travel", "fuel", "games", "fashion", "electronics", "cash", "other"], object
)
REGIONS = np.array(["north", "south", "east", "west"], object)
HEATING = np.array(["gas", "heat pump", "district", "oil"], object)

SPREAD = 0.08  # standard deviation of the price model's errors
NINE_OF_TEN = 1.645  # standard deviations that hold 90 % of a normal distribution


@dataclass(frozen=True)
class Answers:
    """What one model answered in one block; all arrays have one element per prediction."""

    model: str
    versions: Draws
    roles: Draws
    predictions: Draws
    bounds: tuple[FloatArray, FloatArray] | None  # that hold nine truths of ten
    truths: Draws
    wrong: BoolArray
    score_name: str
    scores: FloatArray
    features: Mapping[str, Draws]
    missing: Mapping[str, BoolArray]
    segments: Mapping[str, Draws]
    statuses: Draws
    latency_ms: FloatArray
    cost: FloatArray
    values: FloatArray
    median_label_delay_s: FloatArray


def _statuses(draw: np.random.Generator, n: int) -> Draws:
    return draw.choice(np.array(["ok", "timeout", "http_503"], object), n, p=[0.99, 0.008, 0.002])


def _latency_ms(draw: np.random.Generator, statuses: Draws, median_ms: float) -> FloatArray:
    # A timeout is given up after a quarter of a second, whatever the model would have taken.
    return np.where(
        statuses == "timeout", 250.0, np.minimum(median_ms * draw.lognormal(0, 0.4, len(statuses)), 249.0)
    )


def fraud_answers(draw: np.random.Generator, error_rate: FloatArray) -> Answers:
    """Return what the fraud model answers; it is wrong with the given probability, whatever the truth."""
    n = len(error_rate)
    is_fraud = draw.random(n) < 0.2
    wrong = draw.random(n) < error_rate
    says_fraud = is_fraud ^ wrong
    canary = draw.random(n) < 0.15
    amount = np.round(draw.lognormal(3.5 + 0.6 * is_fraud, 0.9), 2)
    statuses = _statuses(draw, n)
    distance_km = draw.gamma(1.5 + 2.0 * is_fraud, 20.0)
    confidence = 0.5 * draw.beta(3.0, 1.2, n)
    caught, missed, annoyed = is_fraud & says_fraud, is_fraud & ~says_fraud, ~is_fraud & says_fraud
    return Answers(
        model=FRAUD,
        versions=np.where(canary, "3.2", "3.1").astype(object),
        roles=np.where(canary, "canary", "primary").astype(object),
        predictions=np.where(says_fraud, "fraud", "honest").astype(object),
        bounds=None,
        truths=np.where(is_fraud, "fraud", "honest").astype(object),
        wrong=wrong,
        score_name="fraud",
        scores=np.where(says_fraud, 0.5 + confidence, 0.5 - confidence),
        features={
            "amount": amount,
            "account_age_days": draw.integers(1, 4000, n),
            "payments_24h": draw.poisson(2.0 + 3.0 * is_fraud),
            "distance_km": distance_km,
            "minutes_since_login": draw.exponential(12.0, n),
            "card_present": draw.random(n) < 0.55 - 0.3 * is_fraud,
            "known_device": draw.random(n) < 0.9 - 0.4 * is_fraud,
            "merchant": draw.choice(MERCHANTS, n),
            "currency": draw.choice(np.array(["EUR", "USD", "PLN"], object), n, p=[0.85, 0.1, 0.05]),
            "address_score": draw.beta(5.0, 2.0, n),
        },
        missing={"distance_km": draw.random(n) < 0.03, "address_score": draw.random(n) < 0.01},
        segments={
            "country": draw.choice(COUNTRIES, n, p=[0.35, 0.2, 0.15, 0.12, 0.1, 0.08]),
            "device": draw.choice(DEVICES, n, p=[0.6, 0.25, 0.15]),
        },
        statuses=statuses,
        latency_ms=_latency_ms(draw, statuses, 18.0),
        cost=np.full(n, 0.0002),
        values=np.select([caught, missed, annoyed], [0.9 * amount, -amount, np.full(n, -2.0)], 0.0),
        # Victims complain within minutes; that a payment was honest shows by their silence, later.
        median_label_delay_s=np.where(is_fraud, 180.0, 480.0),
    )


def price_answers(draw: np.random.Generator, n: int) -> Answers:
    """Return what the price model answers: numbers, off by some 8 % either way."""
    area_m2 = np.round(draw.gamma(6.0, 15.0, n) + 20.0, 1)
    built = draw.integers(1900, 2025, n)
    truth = np.round(2800.0 * area_m2 * draw.lognormal(0.0, 0.2, n) * (0.8 + 0.002 * (built - 1900)), 0)
    statuses = _statuses(draw, n)
    told = np.round(truth * (1.0 + draw.normal(0.0, SPREAD, n)), 0)
    return Answers(
        model=PRICE,
        versions=np.full(n, "12", object),
        roles=np.full(n, "primary", object),
        predictions=told,
        bounds=(told / (1.0 + NINE_OF_TEN * SPREAD), told / (1.0 - NINE_OF_TEN * SPREAD)),
        truths=truth,
        wrong=np.zeros(n, np.bool_),
        score_name="",
        scores=np.zeros(n),
        features={
            "area_m2": area_m2,
            "built": built,
            "rooms": draw.integers(1, 8, n),
            "floor": draw.integers(0, 12, n),
            "balcony": draw.random(n) < 0.6,
            "garden": draw.random(n) < 0.3,
            "heating": draw.choice(HEATING, n),
            "distance_to_station_m": draw.gamma(2.0, 400.0, n),
            "energy_kwh_m2": draw.normal(120.0, 40.0, n),
            "days_offered": draw.poisson(30.0, n),
        },
        missing={"energy_kwh_m2": draw.random(n) < 0.1},
        segments={
            "region": draw.choice(REGIONS, n),
            "seller": draw.choice(np.array(["agent", "owner"], object), n),
        },
        statuses=statuses,
        latency_ms=_latency_ms(draw, statuses, 6.0),
        cost=np.full(n, 0.0001),
        values=np.full(n, np.nan),
        median_label_delay_s=np.full(n, 300.0),
    )
