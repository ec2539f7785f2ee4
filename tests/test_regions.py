"""What an operator writes of regions, and the worker that has them."""

from pathlib import Path

import pytest

from control_plane.kit.documents import DocumentInvalid
from control_plane.kit.errors import Unavailable
from control_plane.regions import LocalRegion, OpenStackRegion, read_regions
from control_plane.settings import Settings
from control_plane.worker import new_ports

TWO = """
regions:
  baghdad:
    kind: openstack
    cloud: edubba-baghdad
    addresses: [198.51.100.0/26]
    edge: [192.0.2.1/32]
    configurator: [192.0.2.1/32]
  basra:
    kind: openstack
    cloud: edubba-basra
    addresses: [198.51.100.64/26]
    edge: [192.0.2.1/32]
    configurator: [192.0.2.1/32]
"""


def _settings(tmp_path: Path, text: str | None) -> Settings:
    file = tmp_path / "regions.yaml"
    if text is None:
        return Settings(state_dir=tmp_path, clouds_file=tmp_path / "clouds.yaml")
    file.write_text(text)
    return Settings(state_dir=tmp_path, clouds_file=tmp_path / "clouds.yaml", regions_file=file)


def test_without_a_file_there_is_the_one_region_of_the_variables(tmp_path: Path) -> None:
    assert read_regions(_settings(tmp_path, None)) == {"local": LocalRegion(kind="local")}


def test_a_file_names_several_regions(tmp_path: Path) -> None:
    regions = read_regions(_settings(tmp_path, TWO))
    basra = regions["basra"]
    assert list(regions) == ["baghdad", "basra"]
    assert isinstance(basra, OpenStackRegion)
    assert basra.cloud == "edubba-basra"


@pytest.mark.parametrize(
    ("change", "line", "told"),
    [
        (("198.51.100.64/26", "198.51.100.32/27"), 2, "addresses in common"),
        (("kind: openstack", "kind: local"), 5, "cloud is not known here"),
        (("cloud: edubba-baghdad", "cloud: ''"), 5, "too short"),
        (("baghdad:", "Baghdad:"), 3, "characters"),
        (("edge:", "egde:"), 7, "egde is not known here"),
    ],
)
def test_a_mistake_is_told_with_its_line(
    tmp_path: Path, change: tuple[str, str], line: int, told: str
) -> None:
    with pytest.raises(DocumentInvalid) as caught:
        read_regions(_settings(tmp_path, TWO.replace(*change, 1)))
    reasons = {mistake.line: str(mistake.reason) for mistake in caught.value.mistakes}
    assert told in reasons[line]


def test_local_stands_alone(tmp_path: Path) -> None:
    text = "regions: {here: {kind: local}, there: {kind: memory}}"
    with pytest.raises(DocumentInvalid, match="stands alone"):
        read_regions(_settings(tmp_path, text))


def test_a_region_whose_entry_is_wrong_is_told_when_it_is_needed(tmp_path: Path) -> None:
    settings = _settings(tmp_path, TWO)
    settings.clouds_file.write_text("clouds: {another: {}}")
    ports = new_ports(settings, read_regions(settings))
    with pytest.raises(Unavailable) as caught:
        ports.cloud("baghdad")
    assert caught.value.code == "region_settings_wrong"
    assert "edubba-baghdad" in caught.value.facts["why"]
