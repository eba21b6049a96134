# Who pushes images: the jobs of one repository that run in its environment `release`, and nobody's key. An
# account has one provider for an issuer: `terraform import` it where it is there already.
locals {
  workflows = "token.actions.githubusercontent.com"
  releases  = var.repository == "" ? [] : [var.repository]
}

resource "aws_iam_openid_connect_provider" "workflows" {
  for_each       = toset(local.releases)
  url            = "https://${local.workflows}"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "release" {
  for_each             = toset(local.releases)
  name                 = "${var.name}-release"
  max_session_duration = 3600
  assume_role_policy = templatefile("${path.module}/policies/trust.json", {
    provider = aws_iam_openid_connect_provider.workflows[each.key].arn
    issuer   = local.workflows
    subject  = "repo:${each.key}:environment:release"
  })
}

resource "aws_iam_role_policy" "release" {
  for_each = toset(local.releases)
  name     = "release"
  role     = aws_iam_role.release[each.key].id
  policy   = templatefile("${path.module}/policies/release.json", local.policy_values)
}
