"""Public names and their types; read when they are loaded, too (`lazy_loader`)."""

from .flows import lorenz as lorenz
from .flows import lorenz96 as lorenz96
from .flows import rossler as rossler
from .lattice import coupled_map_lattice as coupled_map_lattice
from .linear import linear_map as linear_map
from .networks import random_tanh_network as random_tanh_network
from .networks import random_tanh_weights as random_tanh_weights
from .one_dimensional import logistic as logistic
from .one_dimensional import tent as tent
from .planar import henon as henon
from .planar import ikeda as ikeda
from .planar import lozi as lozi
from .planar import tinkerbell as tinkerbell
from .reference_map import Known as Known
from .reference_map import ReferenceMap as ReferenceMap
from .reference_map import SystemInfo as SystemInfo
from .registry import catalogue as catalogue
from .registry import create as create
from .spatial import folded_towel as folded_towel
from .spatial import generalized_henon as generalized_henon
from .spectral_flows import kuramoto_sivashinsky as kuramoto_sivashinsky
from .spectral_flows import kuramoto_sivashinsky_profile as kuramoto_sivashinsky_profile
from .torus import arnold_cat as arnold_cat
from .torus import baker as baker
from .torus import kaplan_yorke_map as kaplan_yorke_map
from .torus import standard as standard
