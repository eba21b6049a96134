#!/bin/sh
# Says which image a service runs in an environment:
#
#   deploy/gitops/bump-image.sh production order 1.4.0 sha256:0c1f…
#
# Only the digest decides what is pulled; the tag is for people. Commits nothing.
set -eu

if [ "$#" -ne 4 ]; then
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
environment=$1 service=$2 tag=$3 digest=$4
file=$(dirname "$0")/images/$environment/$service.yaml

fail() {
    echo "bump-image: $1" >&2
    exit 1
}
[ -f "$file" ] || fail "$environment has no $service: there is no $file"
printf %s "$tag" | grep -Eqx '[A-Za-z0-9_][A-Za-z0-9._-]{0,127}' || fail "'$tag' is no tag"
printf %s "$digest" | grep -Eqx 'sha256:[0-9a-f]{64}' || fail "'$digest' is no digest: sha256:<64 hex digits>"

cat > "$file" <<END
# Written by deploy/gitops/bump-image.sh.
image:
  tag: "$tag"
  digest: $digest
END
