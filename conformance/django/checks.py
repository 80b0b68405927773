"""Django: migrations, ORM, inspectdb and the admin's apps, over psycopg."""

import datetime as dt
import io
import os
import uuid
from decimal import Decimal

import django
import tap
from django.conf import settings
from tap import check, equal, raises

settings.configure(
    DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql", "NAME": tap.database(), "USER": tap.user(), "PASSWORD": tap.password(), "HOST": tap.host(),
        "PORT": tap.port(), "OPTIONS": {"sslmode": os.environ.get("PGSSLMODE", "prefer"),
                                        **({"sslrootcert": tap.certificate()} if tap.certificate() else {})}}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "shop"],
    USE_TZ=True, TIME_ZONE="UTC", DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", SECRET_KEY="test",
)
django.setup()

from django.core.management import call_command  # noqa: E402  (only after setup)
from django.db import DataError, IntegrityError, ProgrammingError, connection, models, transaction  # noqa: E402


from shop.models import Author, Book, Plain  # noqa: E402


@check()
def version_and_features():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 WHERE %s = ANY(%s)", [1, [1, 2]])
        equal(cursor.fetchone(), (1,))
    assert connection.pg_version >= 150000


@check()
def create_a_table_without_identity():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE plain (id integer PRIMARY KEY, name varchar(20) NOT NULL)")
    Plain.objects.create(id=1, name="one")
    Plain.objects.bulk_create([Plain(id=i, name=f"n{i}") for i in range(2, 500)])
    equal(Plain.objects.count(), 499)
    equal(Plain.objects.filter(name__startswith="n1", id__lt=100).order_by("-id").values_list("id", flat=True)[:2][0], 19)
    Plain.objects.filter(id__gt=10).delete()
    Plain.objects.filter(id=2).update(name=models.functions.Upper("name"))
    equal(list(Plain.objects.filter(id__in=[2, 3]).order_by("id").values_list("name", flat=True)), ["N2", "n3"])


@check()
def schema_editor_creates_models():
    with connection.schema_editor() as editor:
        editor.create_model(Author)
        editor.create_model(Book)


@check()
def create_with_identity():
    ada = Author.objects.create(name="Ada")
    book = Book.objects.create(title="Notes", author=ada, facts={"pages": 10, "tags": ["x"]}, price=Decimal("9.50"))
    assert ada.pk and book.pk
    book.refresh_from_db()
    equal((book.price, book.facts, type(book.key), book.added.tzinfo is not None), (Decimal("9.50"), {"pages": 10, "tags": ["x"]}, uuid.UUID, True))
    grace = Author.objects.create(name="Grace", born=dt.date(1906, 12, 9))
    Book.objects.bulk_create([Book(title=f"b{i}", author=grace, rating=i / 2) for i in range(10)])


@check()
def queries():
    equal(Book.objects.filter(facts__pages=10, facts__tags__contains="x").count(), 1)
    counted = Author.objects.annotate(n=models.Count("books"), best=models.Max("books__rating")).order_by("name").values_list("name", "n", "best")
    equal(list(counted), [("Ada", 1, None), ("Grace", 10, 4.5)])
    equal(Book.objects.aggregate(models.Avg("rating"))["rating__avg"], 2.25)
    equal(Book.objects.filter(title__icontains="NOTE").select_related("author").get().author.name, "Ada")
    equal(Book.objects.filter(added__year__gte=2020, author__name__regex="^G").count(), 10)
    equal(len(Author.objects.prefetch_related("books")), 2)
    equal(sum(1 for _ in Book.objects.iterator(chunk_size=3)), 11)
    equal(Book.objects.exclude(rating__gte=1).filter(rating__isnull=False).count(), 2)
    exists = Author.objects.filter(models.Exists(Book.objects.filter(author=models.OuterRef("pk"), rating__gt=4)))
    equal([author.name for author in exists], ["Grace"])


@check()
def update_or_create_and_select_for_update():
    _, created = Author.objects.update_or_create(name="Ada", defaults={"born": dt.date(1815, 12, 10)})
    equal(created, False)
    with transaction.atomic():
        equal(Author.objects.select_for_update().get(name="Ada").born, dt.date(1815, 12, 10))


@check()
def get_or_create_and_upsert():
    Plain.objects.bulk_create([Plain(id=1, name="again"), Plain(id=900, name="new")], update_conflicts=True, unique_fields=["id"], update_fields=["name"])
    equal(list(Plain.objects.filter(id__in=[1, 900]).order_by("id").values_list("name", flat=True)), ["again", "new"])


@check()
def atomic_blocks():
    with raises(ZeroDivisionError), transaction.atomic():
        Plain.objects.create(id=1000, name="gone")
        1 / 0
    with transaction.atomic():
        Plain.objects.create(id=1001, name="kept")
        with raises(DataError), transaction.atomic():
            Plain.objects.create(id=1002, name="x" * 30)
    equal(Plain.objects.filter(id__gte=1000).count(), 1)


@check()
def errors_as_classes():
    with raises(IntegrityError), transaction.atomic():
        Plain.objects.create(id=2000, name=None)
    with raises(ProgrammingError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT * FROM no_such")


@check()
def inspectdb():
    out = io.StringIO()
    call_command("inspectdb", "plain", stdout=out)
    text = out.getvalue()
    assert "class Plain" in text and "id = models.IntegerField(primary_key=True)" in text and "max_length=20" in text, text


@check()
def migrate():
    call_command("migrate", verbosity=0)
    out = io.StringIO()
    call_command("showmigrations", stdout=out)
    assert "[ ]" not in out.getvalue(), out.getvalue()


@check()
def users():
    from django.contrib.auth.models import Permission, User

    user = User.objects.create_user("ada", "ada@example.org", "secret")
    user.user_permissions.add(Permission.objects.first())
    equal(User.objects.get(username="ada").user_permissions.count(), 1)


@check()
def flush():
    call_command("flush", interactive=False, verbosity=0)


tap.run(f"Django {django.get_version()}")
