"""Stands in for the application that this project replaces: Flask, memcached, the upstream.

One list of films with their people in memcached, refreshed by the first request that finds it older
than a minute, and a page that is rendered for each request. Without that application's defects.
GHIBLI_API and MEMCACHED (HOST:PORT) configure it.
"""

import json
import os
import time
import urllib.request

from flask import Flask, redirect, render_template_string
from pymemcache.client.base import PooledClient
from pymemcache.serde import pickle_serde

PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Movies</title></head>
<body>
<h1>List of Movies</h1>
<table>
<tr><th>Movie</th><th>Score</th><th>Producer</th><th>Director</th><th>People</th></tr>
{% for film in films %}
<tr>
<td>{{ film.title }} ({{ film.release_date }})</td>
<td>{{ film.rt_score }}</td><td>{{ film.producer }}</td><td>{{ film.director }}</td>
<td>{% for person in film.people %}
{{ person.name }} (age {{ person.age }}) with {{ person.eye_color }} eyes,
{{ person.hair_color }} hair<br>
{% endfor %}</td>
</tr>
{% endfor %}
</table>
<p>Last update: {{ age }} second ago</p>
</body>
</html>
"""
FRESH_SECONDS = 60

app = Flask(__name__)
cache = PooledClient(os.environ["MEMCACHED"], serde=pickle_serde, max_pool_size=8)


@app.get("/")
def index():
    return redirect("/movies")


@app.get("/movies")
def movies():
    held = cache.get("films")
    if held is None or time.time() - held["at"] > FRESH_SECONDS:
        held = {"at": time.time(), "films": fetch()}
        cache.set("films", held)
    age = int(time.time() - held["at"])
    return render_template_string(PAGE, films=held["films"], age=age)


def fetch():
    """The films, each with the people that link to it."""
    films = get("films")
    people = get("people")
    for film in films:
        link = "/films/" + film["id"]
        film["people"] = [it for it in people if any(url.endswith(link) for url in it["films"])]
    return films


def get(collection):
    with urllib.request.urlopen(f"{os.environ['GHIBLI_API']}/{collection}", timeout=10) as answer:
        return json.load(answer)
