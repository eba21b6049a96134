#!/bin/sh
# Makes the root of the runtime image: make-root.sh PACKAGES ROOT
#
# It holds Python and its library, PACKAGES as /opt/packages, every shared library that these load,
# root certificates, and the user 65532. What is not copied is not there: no shell, no pip.
set -eu
packages=$1
root=$2
python=$(readlink -f /usr/bin/python3)
library=$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')

mkdir -p "$root/usr/bin" "$root/usr/lib" "$root/usr/lib64" "$root/opt" "$root/etc/ssl/certs" "$root/tmp"
chmod 1777 "$root/tmp"
install --directory --owner=65532 --group=65532 --mode=0700 "$root/var/lib/souk"
ln -s usr/lib "$root/lib"
ln -s usr/lib64 "$root/lib64"
cp "$python" "$root/usr/bin/"
ln -s "$(basename "$python")" "$root/usr/bin/python3"
cp -a --parents "$library" "$root"
cp -a "$packages" "$root/opt/packages"

# What serves people at a keyboard and builders of extensions.
(cd "$root$library" && rm -rf config-* dist-packages distutils ensurepip idlelib lib2to3 pydoc_data test tkinter turtledemo venv)
# What nothing here uses, with the libraries that it would bring: Berkeley DB, terminals, NIS, OSS.
(cd "$root$library" && rm -rf curses dbm lib-dynload/_curses* lib-dynload/_*dbm* lib-dynload/readline* \
    lib-dynload/nis* lib-dynload/ossaudiodev* lib-dynload/_*test* lib-dynload/xx*)
find "$root" -type d \( -name tests -o -name test -o -name __pycache__ \) -prune -exec rm -rf {} +
find "$root/opt/packages" -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.c' -o -name '*.h' \) -delete
rm -rf "$root/opt/packages/bin"
# Of AWS, S3 and the exchange of tokens are used; the SDK describes four hundred more services.
find "$root/opt/packages/botocore/data" -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts -exec rm -rf {} +

find "$root" -type f -name '*.so*' -exec strip --strip-unneeded {} +
# `ldd` names the libraries of Debian; those in wheels are found beside what loads them.
find "$root" -type f \( -name '*.so*' -o -path "*/bin/python*" \) -exec ldd {} + 2> /dev/null \
    | awk '$2 == "=>" && $3 ~ "^/(usr/)?lib" { print $3 } $1 ~ "^/lib" { print $1 }' | sort --unique \
    | while read -r file; do
        mkdir -p "$root$(dirname "$file")"
        cp --dereference --update "$file" "$root$file"
    done

# The image is never written to, so what Python would compile at each start is compiled here. Hashes instead of
# times make two builds of the same sources the same bytes.
python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash -s "$root" "$root$library" "$root/opt/packages"

cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
printf 'nonroot:x:65532:65532::/tmp:/nonexistent\n' > "$root/etc/passwd"
printf 'nonroot:x:65532:\n' > "$root/etc/group"
printf 'hosts: files dns\n' > "$root/etc/nsswitch.conf"
