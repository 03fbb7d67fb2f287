"""Remember: log three working days of an agent, crystallize them, and recall what one question needs.

Prints:

    ...
"""

from agentmem import Layer, Memory

DAYS = {
    "deploy the web shop": [
        ("action", "kubectl apply -f shop.yaml"),
        ("observation", "Error: the image registry at registry.example.com answers 401 Unauthorized."),
        ("action", "docker login registry.example.com --username deploy"),
        ("observation", "Login Succeeded. The token is valid for 30 days."),
        ("action", "kubectl apply -f shop.yaml"),
        ("observation", "deployment.apps/shop created, 3 of 3 pods are ready."),
    ],
    "find out why the nightly backup is slow": [
        ("action", "journalctl -u backup --since yesterday"),
        ("observation", "backup.service: copied 412 GB in 7 h 12 min, most of it from /var/lib/shop/thumbnails."),
        ("action", "exclude /var/lib/shop/thumbnails in /etc/backup.conf"),
        ("observation", "backup.service: copied 38 GB in 41 min."),
    ],
    "answer the accountant": [
        ("message", "When does the wildcard certificate of example.com expire?"),
        ("action", "openssl x509 -enddate -noout -in /etc/ssl/example.com.pem"),
        ("observation", "notAfter=Mar 14 12:00:00 2027 GMT"),
        ("message", "It expires on 14 March 2027."),
    ],
}

with Memory.open(":memory:") as memory:
    for goal, steps in DAYS.items():
        with memory.episode(goal=goal, agent="ops") as episode:
            for kind, text in steps:
                episode.log(text, kind=kind)
    memory.crystallize()

    context = memory.recall("why did the deployment fail, and what helped?", budget=90)
    print(context.text)
    print(f"-- {context.tokens} of {context.budget} tokens")
