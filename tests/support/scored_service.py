"""Service of FastAPI that scores by hand and knows nothing of monitoring: the guide's `service.py`."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel


class Payment(BaseModel):
    age: float
    country: str = "DE"
    new: bool = False


app = FastAPI()


@app.post("/score")
def score(payment: Payment) -> dict[str, float]:
    if payment.age < 0:
        raise ValueError("a customer who was not born")
    return {"fraud": float(payment.age > 40), "probability": payment.age / 100}
