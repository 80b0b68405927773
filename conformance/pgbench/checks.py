"""pgbench: initialisation, TPC-B and read-only scripts, in all three protocols."""

import re
import subprocess

import tap
from tap import check

SELECT = tap.scratch("select.sql")
with open(SELECT, "w", encoding="utf-8") as file:
    file.write("\\set aid random(1, 1000)\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n")
UPDATE = tap.scratch("update.sql")
with open(UPDATE, "w", encoding="utf-8") as file:
    file.write("\\set aid random(1, 1000)\nBEGIN;\nUPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;\n"
               "SELECT abalance FROM pgbench_accounts WHERE aid = :aid;\nEND;\n")


def pgbench(*arguments):
    done = subprocess.run(["pgbench", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
    return done.stdout + done.stderr


def processed(output, count):
    found = re.search(r"actually processed: (\d+)/(\d+)", output)
    assert found and int(found[1]) == count and int(found[2]) == count, output


@check()
def initialise_from_the_client():
    pgbench("-i", "-I", "dtg", "-s", "1", "-q")


@check()
def vacuum_and_primary_keys():
    pgbench("-i", "-I", "vp")


@check()
def initialise_on_the_server():
    pgbench("-i", "-I", "dtG", "-s", "1", "-q")


@check()
def foreign_keys():
    pgbench("-i", "-I", "dtgpf", "-s", "1", "-q")


def script(path, mode, clients=2, transactions=5):
    processed(pgbench("-n", "-M", mode, "-c", str(clients), "-t", str(transactions), "-f", path), clients * transactions)


@check()
def select_simple():
    script(SELECT, "simple")


@check()
def select_extended():
    script(SELECT, "extended")


@check()
def select_prepared():
    script(SELECT, "prepared")


@check()
def update_in_a_block():
    script(UPDATE, "prepared", clients=1)


@check()
def tpcb():
    processed(pgbench("-n", "-M", "simple", "-c", "1", "-t", "3"), 3)


@check()
def tpcb_prepared_with_retries():
    processed(pgbench("-n", "-M", "prepared", "-c", "2", "-t", "3", "--max-tries=200"), 6)


@check()
def pipeline():
    path = tap.scratch("pipeline.sql")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\\startpipeline\nSELECT 1;\nSELECT 2;\nSELECT count(*) FROM pgbench_branches;\n\\endpipeline\n")
    script(path, "extended")


tap.run(f"pgbench {subprocess.run(['pgbench', '--version'], capture_output=True, text=True).stdout.split()[2]}")
