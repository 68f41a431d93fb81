"""Prints the films and their people, from your own mirror: example.py [BASE]

Needs `pip install anime-api`.
"""

import sys

from anime_api.apis import StudioGhibliAPI

# On the class, not on one client: films load their people with their own client.
StudioGhibliAPI.endpoint = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"

for film in StudioGhibliAPI().get_animes(limit=3):
    # A link without an id means that the API knows nobody.
    people = [person.name for person in film.people if person.id]
    print(film.release_date, film.title.english, "with", ", ".join(people) or "nobody")
