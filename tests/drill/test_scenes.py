"""What is made of a configuration: scenes, clones, and a gateway that writes nothing of the user's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sampan.config import Config, default, parse
from sampan.core import Dialect, Location, Operation, Tier
from sampan.drill import toml
from sampan.drill.elsewhere import imagine as imagine_elsewhere
from sampan.drill.scenes import Play, Wish, imagine, stage, with_clouds
from sampan.drill.troubles import TROUBLES, Place, When, chosen
from sampan.errors import ConfigError

MINE = """
[server]
listen = "0.0.0.0:8000"
public_url = "https://ai.lan"
data = "/srv/sampan"
[upstreams.claude]
dialect = "anthropic"
base_url = "https://api.anthropic.com"
api_key = "sk-real-secret"
headers = { x-team = "blue" }
clocks = { rate = 50 }
[upstreams.bedrock]
dialect = "anthropic"
base_url = "https://bedrock.example"
[upstreams.vllm]
dialect = "openai-chat"
base_url = "http://10.0.0.5:8000/v1"
location = "local"
api_key = "sk-home"
[engines.reader]
kind = "reader"
listen = "127.0.0.1:8010"
[[routes]]
model = "claude-*"
operations = ["text"]
targets = ["claude", "bedrock:eu.claude", "vllm", "reader"]
[[routes]]
model = "alone"
operations = ["text"]
targets = ["claude"]
[[routes]]
model = "home"
operations = ["text"]
targets = ["vllm:qwen"]
[breaker]
failures = 2
delay = 60
"""


@pytest.fixture
def mine() -> Config:
    return parse(MINE, "sampan.toml", {})


def staged(loaded: Config, wish: Wish) -> Play:
    scenes = imagine(loaded, wish)
    urls = {clone: f"http://127.0.0.1:9/{clone}" for scene in scenes for clone in scene.clouds}
    return stage(loaded, scenes, urls, Path("/tmp/drill"), wish)


def test_every_route_with_a_cloud_is_rehearsed(mine: Config) -> None:
    scenes = imagine(mine, Wish(chosen(["500"])))
    assert [(each.route, each.shape.stream) for each in scenes] == [
        ("claude-*", False),
        ("claude-*", True),
        ("alone", False),
        ("alone", True),
    ]
    assert list(scenes[0].clouds.values()) == ["claude", "bedrock"]
    assert scenes[0].others == {"vllm": Tier.LOCAL, "reader": Tier.DEGRADED}
    assert not scenes[2].others, "nobody but the cloud"


def test_each_scene_has_breakers_of_its_own_and_the_targets_at_home_are_shared(mine: Config) -> None:
    play = staged(mine, Wish(chosen(["500"])))
    first, second, *_ = play.config.routes
    assert first.targets == ["claude.1:claude-sonnet-5-5", "bedrock.1.1:eu.claude", "vllm:claude-sonnet-5-5", "reader"]
    assert second.targets[:2] == ["claude.2:claude-sonnet-5-5", "bedrock.2.1:eu.claude"]
    assert play.config.upstreams["vllm"] == mine.upstreams["vllm"]


def test_nothing_of_the_users_is_written_to_or_sent_away(mine: Config) -> None:
    play = staged(mine, Wish(chosen(["500"])))
    staged_config = play.config
    assert (staged_config.server.listen, staged_config.server.data) == ("127.0.0.1:0", "/tmp/drill")
    assert not staged_config.server.public_url and not staged_config.engines["reader"].listen
    clouds = [each for each in staged_config.upstreams.values() if each.location is Location.CLOUD]
    assert clouds and all(each.base_url.startswith("http://127.0.0.1:9/") for each in clouds)
    assert not [each for each in clouds if each.api_key == "sk-real-secret" or each.headers]
    assert (play.failures, play.delay) == (2, 3.0)
    assert clouds[0].clocks.rate == 50, "what the user demands of a stream stays in force"


def test_the_real_cloud_is_asked_with_the_real_key_only_where_it_is_wanted(mine: Config) -> None:
    play = staged(mine, Wish(chosen(["500"]), real=True))
    cloud = play.config.upstreams["claude.1"]
    assert cloud.api_key == "sk-real-secret" and cloud.headers == {"x-team": "blue"}
    assert cloud.base_url.startswith("http://127.0.0.1:9/"), "still through the stand-in"


def test_defaults_without_a_cloud_get_one_in_front_of_each_pattern() -> None:
    loaded = with_clouds(default({}))
    routes = {(route.model, *route.operations): route.targets for route in loaded.routes}
    assert routes[("claude-*", Operation.TEXT, Operation.VISION)] == ["claude", "reader"]
    assert routes[("*", Operation.TEXT, Operation.VISION)] == ["openai-chat", "reader"]
    assert routes[("*", Operation.GENERATE, Operation.EDIT)] == ["openai", "sketcher"]
    assert routes[("reader", Operation.TEXT, Operation.VISION)] == ["reader"]
    with_key = default({"ANTHROPIC_API_KEY": "sk"})
    assert with_clouds(with_key) is with_key


def test_nothing_to_rehearse_is_a_sentence(mine: Config) -> None:
    with pytest.raises(ConfigError, match="nothing to rehearse"):
        imagine(mine, Wish(TROUBLES, (Operation.EDIT,)))
    with pytest.raises(ConfigError, match="no-such-fault"):
        chosen(["no-such-fault"])


def test_the_catalogue_is_wide_and_every_trouble_is_told_in_both_languages() -> None:
    assert len({trouble.name for trouble in TROUBLES}) == len(TROUBLES) >= 25
    assert all(trouble.zh and trouble.en for trouble in TROUBLES)
    assert {trouble.when for trouble in TROUBLES} == set(When)


@pytest.mark.parametrize("delay", [0.0, 0.5])
def test_what_is_written_is_read_back_as_it_was(mine: Config, delay: float) -> None:
    for loaded in (mine, default({"OPENAI_API_KEY": 'sk-"\\'}), staged(mine, Wish(TROUBLES)).config):
        server = replace(loaded.server, default_model='a "b" \\ ü\t\x7f\n模型')
        loaded = replace(loaded, breaker=replace(loaded.breaker, delay=delay), server=server)
        assert parse(toml.write(loaded), "again", {}) == loaded


def test_elsewhere_only_what_a_stand_in_alone_can_play() -> None:
    scenes = imagine_elsewhere(Wish(TROUBLES, (Operation.TEXT,), {"openai-chat": "gpt-5", "anthropic": "claude"}))
    assert {scene.model for scene in scenes} == {"gpt-5", "claude"}
    assert {scene.shape.dialect for scene in scenes} == {Dialect.OPENAI_CHAT, Dialect.ANTHROPIC}
    assert not {Place.TLS, Place.NAME} & {scene.trouble.place for scene in scenes}
    with pytest.raises(ConfigError, match="klingon"):
        imagine_elsewhere(Wish(TROUBLES, models={"klingon": "x"}))


def test_an_engine_is_as_good_as_its_answers_say() -> None:
    """Another's server that is started here is `local`, not `degraded`: its headers are judged by that."""
    server = '[engines.chat]\nkind = "server"\ncommand = ["serve", "{port}"]\n'
    text = MINE.replace("[[routes]]", server + "[[routes]]", 1).replace('"vllm", "reader"]', '"chat", "reader"]')
    scene = imagine(parse(text, "sampan.toml", {}), Wish(chosen(["500"])))[0]
    assert scene.others == {"chat": Tier.LOCAL, "reader": Tier.DEGRADED}
