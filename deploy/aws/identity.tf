# Who may what in AWS: one role for one ServiceAccount. Who is not here may nothing. The policies are
# files, so that tests/platform/aws evaluates what is applied.
locals {
  workloads = {
    product = {
      namespace       = var.namespace
      service_account = "product"
      policy          = "product"
      managed         = null
    }
    vault = {
      namespace       = "vault"
      service_account = "vault"
      policy          = "vault"
      managed         = null
    }
    load-balancer = {
      namespace       = "kube-system"
      service_account = "aws-load-balancer-controller"
      policy          = "load-balancer"
      managed         = null
    }
    vpc-cni = {
      namespace       = "kube-system"
      service_account = "aws-node"
      policy          = null
      managed         = "AmazonEKS_CNI_Policy"
    }
    ebs-csi = {
      namespace       = "kube-system"
      service_account = "ebs-csi-controller-sa"
      policy          = "ebs-key"
      managed         = "service-role/AmazonEBSCSIDriverPolicy"
    }
  }

  issuer = trimprefix(aws_eks_cluster.this.identity[0].oidc[0].issuer, "https://")

  policy_values = {
    partition  = local.partition
    region     = var.region
    account    = local.account
    cluster    = var.name
    bucket     = aws_s3_bucket.images.id
    vpc        = aws_vpc.this.id
    unseal_key = aws_kms_key.this["unseal"].arn
    volume_key = aws_kms_key.this["volumes"].arn
  }
}

data "tls_certificate" "issuer" {
  url = aws_eks_cluster.this.identity[0].oidc[0].issuer
}

resource "aws_iam_openid_connect_provider" "cluster" {
  url             = aws_eks_cluster.this.identity[0].oidc[0].issuer
  client_id_list  = ["sts.amazonaws.com"]
  thumbprint_list = [data.tls_certificate.issuer.certificates[0].sha1_fingerprint]
}

resource "aws_iam_role" "workload" {
  for_each             = local.workloads
  name                 = "${var.name}-${each.key}"
  max_session_duration = 3600
  assume_role_policy = templatefile("${path.module}/policies/trust.json", {
    provider = aws_iam_openid_connect_provider.cluster.arn
    issuer   = local.issuer
    subject  = "system:serviceaccount:${each.value.namespace}:${each.value.service_account}"
  })
}

resource "aws_iam_role_policy" "workload" {
  for_each = { for name, workload in local.workloads : name => workload.policy if workload.policy != null }
  name     = each.value
  role     = aws_iam_role.workload[each.key].id
  policy   = templatefile("${path.module}/policies/${each.value}.json", local.policy_values)
}

resource "aws_iam_role_policy_attachment" "workload" {
  for_each   = { for name, workload in local.workloads : name => workload.managed if workload.managed != null }
  role       = aws_iam_role.workload[each.key].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/${each.value}"
}
