"""What PyTorch raises, as a sentence with the setting to change."""

from __future__ import annotations

from belisha.components.shared.errors import BelishaError, TrainingError
from belisha.components.train.job import Job


def in_one_sentence(error: BaseException, job: Job) -> BelishaError:
    """Our error for whatever stopped a training; our own errors stay as they are."""
    if isinstance(error, BelishaError):
        return error
    if job.error_file.is_file():
        return TrainingError(job.error_file.read_text())
    settings, text = job.settings, str(error)
    lowered = text.lower()
    if isinstance(error, MemoryError) or "out of memory" in lowered or "can't allocate memory" in lowered:
        return TrainingError(
            f"memory ran out in training with train_batch {settings.batch} at {settings.image_size_px} px: lower "
            "train_batch, train_image_size or the architecture's width"
        )
    if "bus error" in lowered or "shared memory" in lowered or "/dev/shm" in lowered or "shm" in lowered.split():
        return TrainingError(
            f"shared memory ran out with train_workers {settings.workers}: enlarge /dev/shm (an emptyDir of medium "
            "Memory on Kubernetes) or set train_workers to 0"
        )
    if "dataloader worker" in lowered and ("killed" in lowered or "exited" in lowered):
        return TrainingError(
            f"a process that loads pictures was killed, mostly for want of memory: lower train_workers (now "
            f"{settings.workers}) or enlarge the memory"
        )
    if "cuda" in lowered and ("invalid" in lowered or "not available" in lowered):
        return TrainingError(
            f"device {settings.device!r} is not there: set train_device to cpu, or to the number of a GPU that is"
        )
    first_line = text.strip().splitlines()[0][:200] if text.strip() else "no message"
    return TrainingError(
        f"training stopped ({type(error).__name__}: {first_line}): run it again to go on from the last checkpoint"
    )
