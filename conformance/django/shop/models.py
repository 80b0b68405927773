"""What the checks store."""

import uuid
from decimal import Decimal

from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=50)
    born = models.DateField(null=True)


class Book(models.Model):
    title = models.TextField()
    price = models.DecimalField(max_digits=8, decimal_places=2, default=Decimal("1.00"))
    key = models.UUIDField(default=uuid.uuid4)
    facts = models.JSONField(default=dict)
    added = models.DateTimeField(auto_now_add=True)
    rating = models.FloatField(null=True)
    sold = models.BooleanField(default=False)
    # Without the database's constraint: what is to be tested here is everything else.
    author = models.ForeignKey(Author, models.CASCADE, related_name="books", db_constraint=False)


class Plain(models.Model):
    """Without an identity: its key is given."""

    id = models.IntegerField(primary_key=True)
    name = models.CharField(max_length=20)

    class Meta:
        db_table = "plain"
