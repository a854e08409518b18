USER_DATA='#cloud-config
hostname: it'\''s
'
START_SCRIPT_BASE64='cmVib290'
rm -rf / # never run
SSH_KEY='ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDrLcTvqjRUA1pXz2Qk7vZ8wYb3nH5tMfGcR4sJd6eKo one@example'
