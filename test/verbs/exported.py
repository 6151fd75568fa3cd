"""What an export makes of a copy of the host's tree: a patch by `git apply`, an archive as image tools unpack a layer."""
import os
import shutil
import stat
import subprocess
import tarfile

WHITEOUT = ".wh."


def remove(path):
    if not os.path.lexists(path):
        return
    if stat.S_ISDIR(os.lstat(path).st_mode):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def maps_all():
    """False in the namespace of a plain user, who is root there and knows nobody else."""
    with open("/proc/self/uid_map") as lines:
        return int(lines.readline().split()[2]) > 1


def unpack(archive, top):
    """Whiteouts mean the layers below, so they come first; what is of another type makes room."""
    with tarfile.open(archive, errors="surrogateescape") as tar:
        members = tar.getmembers()
        if not maps_all():
            for member in members:
                member.uid = member.gid = 0
        for member in members:
            parent, name = os.path.split(member.name)
            if name.startswith(WHITEOUT):
                remove(os.path.join(top, os.fsencode(os.path.join(parent, name[len(WHITEOUT):]))))
        for member in members:
            if os.path.basename(member.name).startswith(WHITEOUT):
                continue
            path = os.path.join(top, os.fsencode(member.name))
            if not (member.isdir() and os.path.isdir(path) and not os.path.islink(path)):
                remove(path)
            tar.extract(member, os.fsdecode(top), numeric_owner=True)
        # A directory that can't be written has its mode last.
        for member in members:
            if member.isdir():
                os.chmod(os.path.join(top, os.fsencode(member.name)), member.mode)


def apply(kind, product, host, top):
    """Host and export made one below `top`."""
    remove(top)
    subprocess.run(["cp", "-a", "--", host, top], check=True)
    if kind == "tar":
        unpack(product, top)
    elif os.path.getsize(product) > 0:
        done = subprocess.run(["git", "apply", "--binary", "--whitespace=nowarn", os.fsdecode(product)], cwd=top, check=False, capture_output=True)
        # git knows no empty directories, so it can't remove one for a file.
        if done.returncode != 0 and b": Directory not empty" in done.stderr:
            return None
        if done.returncode != 0:
            return [done.stderr.decode("latin1")]
    return []
