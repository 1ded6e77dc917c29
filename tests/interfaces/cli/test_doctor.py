"""The verbs `doctor` and `config` as a user of the shell sees them."""

import json
from pathlib import Path

import pytest
from support.command_line import run_command

KEY = "sk-canary-0123456789"


def test_doctor_exits_with_1_if_there_is_a_problem(tmp_path: Path) -> None:
    """Text and JSON name the finding, its reason and the remedy; a warning alone exits with 0."""
    environ = {"HOME": str(tmp_path)}
    healthy = run_command(["doctor"], folder=tmp_path, environ=environ)
    assert (healthy.returncode, "0 problems, 0 warnings" in healthy.stdout) == (0, True)
    environ |= {"SEMSEARCH_CHAT__API_KEY_FILE": "missing", "SEMSEARCH_CHAT__MODEL": "gpt-5"}
    broken = run_command(["doctor", "--offline"], folder=tmp_path, environ=environ)
    assert broken.returncode == 1
    assert "problem  key file: the file that SEMSEARCH_CHAT__API_KEY_FILE names cannot be found\n" in broken.stdout
    assert "         remedy: write the key into a file" in broken.stdout
    reply = json.loads(run_command(["doctor", "--offline", "--json"], folder=tmp_path, environ=environ).stdout)
    assert reply["problems"] == 1
    assert {"severity", "check", "what", "why", "remedy"} == set(reply["findings"][0])
    environ.pop("SEMSEARCH_CHAT__API_KEY_FILE")
    warned = run_command(["doctor", "--offline", "--json"], folder=tmp_path, environ=environ)
    assert (warned.returncode, json.loads(warned.stdout)["warnings"]) == (0, 1)
    assert list(tmp_path.iterdir()) == []


def test_wrong_settings_are_a_finding(tmp_path: Path) -> None:
    """The message names the setting."""
    completed = run_command(["doctor"], folder=tmp_path, environ={"HOME": str(tmp_path), "SEMSEARCH_KEEP_DAYS": "soon"})
    assert completed.returncode == 1
    assert "problem  settings: SEMSEARCH_KEEP_DAYS: 'soon' is not a number" in completed.stdout


@pytest.mark.parametrize("data_dir", ["file", "file/below"])
def test_data_directory_that_is_a_file_is_a_finding(tmp_path: Path, data_dir: str) -> None:
    """The file is not changed."""
    (tmp_path / "file").write_text("not a folder")
    completed = run_command(["doctor", "--data-dir", data_dir], folder=tmp_path, environ={"HOME": str(tmp_path)})
    assert completed.returncode == 1
    assert f"problem  data directory: {tmp_path / 'file'} is a file, not a folder" in completed.stdout


def test_config_prints_values_and_sources_without_secrets(tmp_path: Path) -> None:
    """Options may stand before and after the verb."""
    config = tmp_path / "own.toml"
    config.write_text(f'[chat]\nmodel = "m\\u001b[31m"\napi_key = "{KEY}"\n')
    environ = {"HOME": str(tmp_path), "SEMSEARCH_KEEP_DAYS": "7"}
    text = run_command(
        ["--data-dir", "here", "config", "--config", "own.toml"], folder=tmp_path, environ=environ
    ).stdout
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in text.splitlines()}
    assert rows["data_dir"] == "here flag: --data-dir"
    assert rows["keep_days"] == "7 environment: SEMSEARCH_KEEP_DAYS"
    assert rows["chat.api_key"] == f"set file: {config}"
    assert rows["chat.model"] == f"m\\x1b[31m file: {config}"
    assert rows["chat.max_tokens"] == "800 default"
    as_json = run_command(["config", "--json", "--config", "own.toml"], folder=tmp_path, environ=environ).stdout
    assert KEY not in text + as_json
    assert {each["name"]: each["source"] for each in json.loads(as_json)}["keep_days"] == "environment"
