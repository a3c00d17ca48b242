"""docker-compose.yml: what .env says arrives, nothing leaves by mistake, all is contained."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from compose.compose_files import BASE, HOST, ROOT, Required, project, read_env, services, variables
from onebox.all_settings import SERVICES, known_names
from posthouse.running.settings import describe, load

# What other parts of the file depend on: mounts, and the port of health checks and metrics.
OF_THE_FILE = {"POSTHOUSE_DATA", "POSTHOUSE_HEALTH_LISTEN"}
PROFILES = ("sink", "tls", "observability")
EVERYTHING = services(profiles=PROFILES)
OURS = [name for name, service in EVERYTHING.items() if service["image"].startswith("posthouse")]


def test_docker_compose_understands_the_file(tmp_path: Path) -> None:
    file = tmp_path / "compose.json"
    file.write_text(json.dumps(project()))
    said = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, "") == (said.returncode, said.stderr), said.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_every_setting_in_env_arrives(name: str) -> None:
    settings = {s.variable for s in describe(SERVICES[name])} - OF_THE_FILE
    given = {**HOST, **{variable: f"value of {variable}" for variable in settings}}

    in_container = services(given)[name]["environment"]

    assert given == {variable: in_container.get(variable) for variable in given}


@pytest.mark.parametrize("name", SERVICES)
def test_a_secret_of_ones_own_arrives_in_either_form(name: str) -> None:
    for setting in describe(SERVICES[name]):
        plain, file = setting.variable, f"{setting.variable}_FILE"
        if not setting.secret:
            continue
        in_clear = services({**HOST, plain: "own", file: ""})[name]["environment"]
        in_file = services({**HOST, file: "/run/secrets/own"})[name]["environment"]

        assert ("own", "") == (in_clear[plain], in_clear.get(file, ""))
        assert ("", "/run/secrets/own") == (in_file.get(plain, ""), in_file[file])


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_can_use_what_it_is_given(name: str, tmp_path: Path) -> None:
    (tmp_path / "database.url").write_text("postgresql://posthouse:secret@postgres:5432/posthouse")
    (tmp_path / "broker.url").write_text("amqp://posthouse:secret@rabbitmq:5672/")
    (tmp_path / "secret.key").write_text("A" * 44)
    here = {
        variable: value.replace("/var/lib/posthouse", str(tmp_path))
        for variable, value in services()[name]["environment"].items()
    }
    assert HOST["POSTHOUSE_HOSTNAME"] == load(SERVICES[name], here, also_known=known_names).hostname


def test_no_service_starts_without_a_host_name() -> None:
    with pytest.raises(Required, match="POSTHOUSE_HOSTNAME"):
        services({})


def test_mail_goes_where_dns_says_unless_a_route_is_set() -> None:
    for given in (HOST, {**HOST, "POSTHOUSE_ROUTES": ""}):
        found = services(given)
        assert "sink" not in found
        assert "" == found["dispatcher"]["environment"].get("POSTHOUSE_ROUTES", "")


def test_the_demo_sends_everything_to_its_sink() -> None:
    given = read_env(ROOT / "deploy/compose/demo.env")
    found = services(given, profiles=given["COMPOSE_PROFILES"].split(","))
    routes = found["dispatcher"]["environment"]["POSTHOUSE_ROUTES"]

    assert "[sink]:2600" == routes
    published = [port for service in found.values() for port in service.get("ports", ())]
    assert {"127.0.0.1:0"} == {port.rpartition(":")[0] for port in published}


@pytest.mark.parametrize(
    ("routes", "starts"), [("[sink]:2600", True), ("", False), ("mx.example:25;user=a", False)]
)
def test_no_stack_with_a_sink_starts_where_mail_would_not_go_there(
    routes: str, *, starts: bool
) -> None:
    """Compose starts nothing where a file of variables of one service is missing."""
    found = services({**HOST, "POSTHOUSE_ROUTES": routes}, profiles=("sink",))
    [needed] = found["sink"]["env_file"]

    assert starts == (ROOT / needed).exists()


def test_no_tag_is_built_twice() -> None:
    built = [service["image"] for service in EVERYTHING.values() if "build" in service]
    assert sorted(set(built)) == sorted(built)


def test_every_file_that_is_mounted_is_there() -> None:
    mounted = {
        volume.partition(":")[0]
        for service in EVERYTHING.values()
        for volume in service.get("volumes", ())
        if isinstance(volume, str)
    }
    ours = {path for path in mounted if path.startswith("./")}

    assert ours
    assert [] == [path for path in sorted(ours) if not (ROOT / path).exists()]


def test_no_variable_of_the_file_looks_like_a_setting() -> None:
    named = {name for name in variables((ROOT / BASE).read_text()) if name.startswith("POSTHOUSE_")}
    assert set() == named - known_names()


def test_every_variable_of_the_files_is_in_the_example() -> None:
    example = (ROOT / ".env.example").read_text()
    files = [ROOT / BASE, *(ROOT / "deploy/compose").glob("*.yml")]
    missing = {
        name
        for file in files
        for name in variables(file.read_text())
        if not re.search(rf"^#?{name}=", example, re.MULTILINE)
    }
    # The rest is for tests and scripts of ours, or a setting that has a page.
    assert missing <= {"BUILD_NETWORK", "BROKERS", "REVISION", "SETTINGS", *known_names()}


def test_an_image_says_its_version_and_can_be_another() -> None:
    text = (ROOT / BASE).read_text()
    images = re.findall(r"image: (.+)", text)
    assert images
    assert [] == [
        image for image in images if not re.fullmatch(r"\$\{\w+:-[\w./-]+:v?\d[\w.-]*\}", image)
    ]


def test_the_image_may_have_every_file_that_it_is_made_of() -> None:
    copied = re.findall(
        r"^COPY (?!--from)(?:--\S+ )?(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    )
    allowed = re.findall(r"^!(.+?)/?$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert copied
    assert set() == {name for names in copied for name in names.split()} - {*allowed}


def test_every_container_has_bounds() -> None:
    for name, service in EVERYTHING.items():
        assert ["ALL"] == service["cap_drop"], name
        assert ["no-new-privileges:true"] == service["security_opt"], name
        assert {"max-size": "20m", "max-file": "5"} == service["logging"]["options"], name
        assert service["mem_limit"], name
        assert "healthcheck" in service, name
    for name in OURS:
        assert EVERYTHING[name]["read_only"], name


def test_the_databases_are_reached_from_inside_only() -> None:
    assert project()["networks"]["inside"]["internal"]
    for name in ("postgres", "rabbitmq"):
        assert ["inside"] == EVERYTHING[name]["networks"]
        assert "ports" not in EVERYTHING[name]


def test_ports_are_published_on_this_machine_unless_it_is_said() -> None:
    published = [port for service in EVERYTHING.values() for port in service.get("ports", ())]
    assert published
    assert [] == [port for port in published if not port.startswith("127.0.0.1:")]


@pytest.mark.parametrize("name", ["policy", "dispatcher"])
def test_more_of_a_service_find_a_port_for_their_metrics(name: str) -> None:
    found = services({**HOST, f"{name.upper()}_REPLICAS": "3"})[name]
    [port] = found["ports"]
    first, last = map(int, port.split(":")[1].split("-"))

    assert "3" == found["deploy"]["replicas"]
    assert last - first >= 3
