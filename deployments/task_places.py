"""How many queued transforms may run at once: what the cluster's CPUs take beside the deployments."""

from collections.abc import Mapping

from configs.schema import TRANSFORMS_ID, Autoscaling, Resources, ServerConfig


class TaskPlaces:
    """Leaves room for every replica of a model, for one that sleeps, and one more of what may grow.

    For the transforms' own deployment it leaves all that it may have.

    So a model never waits for a transform to end. What else runs in the cluster is not counted: where that
    takes CPUs too, ``transforms.jobs.at_once`` says how many transforms there shall be.
    """

    def __init__(self, config: ServerConfig) -> None:
        """Take what is reserved. Until the first look at the cluster there is one place."""
        self._is_enabled = config.transforms.enabled
        self._jobs = config.transforms.jobs
        self._threads = config.transforms.for_jobs.threads
        self._scaled: dict[str, tuple[Resources, Autoscaling]] = {
            model.id: (model.resources, model.autoscaling) for model in config.native_models
        }
        self._scaled[TRANSFORMS_ID] = (config.transforms.resources, config.transforms.autoscaling)
        self._fixed = config.ingress.num_cpus * config.ingress.num_replicas + config.jobs.num_cpus
        self._places = self._jobs.at_once or 1

    def __call__(self) -> Mapping[str, int]:
        """Give the number, from memory; at least one, so that no job waits for ever."""
        return {TRANSFORMS_ID: self._places} if self._is_enabled else {}

    def look(self, cluster_cpus: float, replicas: Mapping[str, int]) -> None:
        """Take in the size of the cluster, and how many replicas a deployment has, where that is known."""
        if not self._is_enabled or self._jobs.at_once is not None:
            return
        spare = cluster_cpus - self._fixed - sum(self._kept(name, replicas) for name in self._scaled)
        # A part of a CPU is what a small machine's profile sets aside, and not what ffmpeg takes.
        by_cores = cluster_cpus / self._threads
        self._places = max(1, int(min(spare / self._jobs.num_cpus, by_cores) + 1e-6))

    def _kept(self, name: str, replicas: Mapping[str, int]) -> float:
        resources, autoscaling = self._scaled[name]
        running = replicas.get(name, autoscaling.max_replicas)
        return resources.num_cpus * min(autoscaling.max_replicas, running + 1)
