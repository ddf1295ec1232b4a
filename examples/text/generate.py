"""Writes tickets.csv: support tickets of a web shop that doesn't exist, with the team that has to answer.

    python3 generate.py > tickets.csv

Every word comes from the grammar below; nothing is copied from anywhere. The
same seed writes the same bytes, on any Python (only random() is used, whose
sequence Python promises to keep). One ticket in 20 was handed to a wrong team,
as happens, and from the third week on there are words for a new product.
"""

import csv
import datetime
import random
import sys

SEED, ROWS, DAYS = 2001, 2200, 55
MISTAKES = 0.05

OPENINGS = ["hello,", "good morning,", "hi there,", "dear team,", "", "", ""]
CLOSINGS = ["please advise.", "thanks in advance.", "can you look into it?", "i would like an answer soon.", "", "", ""]
THINGS = ["lamp", "desk", "kettle", "bicycle", "tent", "backpack", "speaker", "clock"]
NEW_THINGS = ["solar panel", "heat pump"]
ORDERS = ["order {n}", "my order {n}", "the order from {day}", "purchase {n}"]
WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

TEAMS = {
    "billing": [
        "i was charged twice for {order}",
        "the invoice for {order} shows the wrong amount",
        "when do i get the refund for the {thing}",
        "my card was declined but the money for {order} is gone",
        "please send a receipt with our tax number for {order}",
        "the discount code was not taken off the price of the {thing}",
    ],
    "delivery": [
        "the parcel with the {thing} has not arrived",
        "tracking says that {order} was delivered but nothing is here",
        "can the courier bring the {thing} on {day} instead",
        "the box came open and the {thing} was scratched",
        "{order} went to our old address",
        "how long does shipping of a {thing} take",
    ],
    "account": [
        "i cannot sign in since {day}",
        "the password reset mail never comes",
        "please change the email address of my profile",
        "i want to delete my account and all data",
        "the page says that my login is locked after {order}",
        "how do i add a second user to our profile",
    ],
    "product": [
        "the {thing} does not switch on any more",
        "which battery fits the {thing}",
        "a screw is missing from the {thing}, the manual shows four",
        "the {thing} makes a loud noise since {day}",
        "is there a warranty for the {thing} from {order}",
        "how do i clean the {thing}",
    ],
}


def pick(rng, choices):
    return choices[int(rng.random() * len(choices))]


def sentence(rng, team, day):
    things = THINGS + NEW_THINGS * 2 if day >= 14 else THINGS
    words = {"thing": pick(rng, things), "day": pick(rng, WEEKDAYS), "n": 10000 + int(rng.random() * 90000)}
    words["order"] = pick(rng, ORDERS).format(**words)
    return pick(rng, TEAMS[team]).format(**words)


def ticket(rng, day):
    """A ticket and the team that got it. Half of them mention a second matter, which isn't theirs to answer."""
    names = list(TEAMS)
    team = pick(rng, names)
    parts = [pick(rng, OPENINGS), sentence(rng, team, day) + "."]
    if rng.random() < 0.5:
        parts.append("also " + sentence(rng, pick(rng, names), day) + ", but that can wait.")
    parts.append(pick(rng, CLOSINGS))
    text = " ".join(part for part in parts if part)
    return text, pick(rng, names) if rng.random() < MISTAKES else team


def main():
    rng = random.Random(SEED)
    start = datetime.datetime(2026, 1, 5)
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["opened", "text", "team"])
    for i in range(ROWS):
        at = start + datetime.timedelta(seconds=int(i * DAYS * 86400 / ROWS))
        out.writerow([at.strftime("%Y-%m-%d %H:%M:%S"), *ticket(rng, (at - start).days)])


if __name__ == "__main__":
    main()
