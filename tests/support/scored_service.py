"""Service of FastAPI with the middleware, for `uvicorn tests.support.scored_service:app`."""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from exporter.client import Monitor, MonitoringMiddleware


class Customer(BaseModel):
    age: float
    country: str = "DE"
    new: bool = False


def read(request: Any, answer: Any) -> dict[str, Any]:
    return {"features": request, "prediction": answer["churn"], "score": answer["probability"]}


app = FastAPI()
app.add_middleware(
    MonitoringMiddleware,
    monitor=Monitor(os.environ["EXPORTER_URL"], model="churn", version="1", batch_seconds=0.1),
    paths=["/customers/{name}/churn"],
    read=read,
)


@app.post("/customers/{name}/churn")
def churn(name: str, customer: Customer) -> dict[str, float]:
    if customer.age < 0:
        raise ValueError("a customer who was not born")
    return {"churn": float(customer.age > 40), "probability": customer.age / 100}
