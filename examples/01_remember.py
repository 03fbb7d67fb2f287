"""Remember: log an agent's working days, crystallize them, and recall what one question needs.

Prints:

    [episode-1]
    action: kubectl apply -f shop.yaml
    observation: Error: the image registry registry.example.com answers 401 Unauthorized.
    action: docker login registry.example.com --username deploy
    observation: Login succeeded. The token is valid for 30 days.
    observation: deployment.apps/shop created, 3 of 3 pods are ready.
    -- 83 of 100 tokens

    s00000000002 because of dense: kubectl apply -f shop.yaml
    s00000000003 because of lexical: Error: the image registry registry.example.com answers 401 Unauthorized.

    crystals: 3 unit, 0 cluster, 0 atom
"""

from agentmem import Layer, Memory

DAYS = {
    "deploy the web shop": [
        ("action", "kubectl apply -f shop.yaml"),
        ("observation", "Error: the image registry registry.example.com answers 401 Unauthorized."),
        ("action", "docker login registry.example.com --username deploy"),
        ("observation", "Login succeeded. The token is valid for 30 days."),
        ("action", "kubectl apply -f shop.yaml"),
        ("observation", "deployment.apps/shop created, 3 of 3 pods are ready."),
    ],
    "find out why the nightly backup is slow": [
        ("action", "journalctl -u backup --since yesterday"),
        ("observation", "backup: copied 412 GB in 7 h 12 min, most of it from /var/lib/shop/thumbnails."),
        ("action", "exclude /var/lib/shop/thumbnails in /etc/backup.conf"),
        ("observation", "backup: copied 38 GB in 41 min."),
    ],
    "answer the accountant": [
        ("message", "When does the certificate of example.com expire?"),
        ("action", "openssl x509 -enddate -noout -in /etc/ssl/example.com.pem"),
        ("observation", "notAfter=Mar 14 12:00:00 2027 GMT"),
        ("message", "It expires on 14 March 2027."),
    ],
}

with Memory.open(":memory:") as memory:
    for goal, steps in DAYS.items():
        with memory.episode(goal=goal, agent="ops") as episode:  # crystallizes when it ends
            for kind, text in steps:
                episode.log(text, kind=kind)

    context = memory.recall("What was wrong with the image registry, and what helped?", budget=100)
    print(context.text)
    print(f"-- {context.tokens} of {context.budget} tokens\n")

    for hit in context.hits[:2]:
        loudest = max(hit.reasons, key=hit.reasons.get)
        print(f"{hit.id} because of {loudest}: {hit.text}")

    layers = memory.stats().layers
    print("\ncrystals:", ", ".join(f"{layers[layer].crystals} {layer}" for layer in Layer))
