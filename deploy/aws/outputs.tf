output "role_arns" {
  description = "What the ServiceAccounts are annotated with: `aws.roleArn` in the values of a chart."
  value       = { for name, role in aws_iam_role.workload : name => role.arn }
}

output "image_bucket" {
  description = "SOUK_IMAGE_BUCKET of the product service."
  value       = aws_s3_bucket.images.id
}

output "repositories" {
  description = "Where the images are pushed to and pulled from."
  value       = { for name, repository in aws_ecr_repository.this : name => repository.repository_url }
}

output "unseal_key" {
  description = "`kms_key_id` in the seal stanza of Vault."
  value       = aws_kms_key.this["unseal"].key_id
}

output "release_role_arn" {
  description = "AWS_ROLE_ARN of the release workflow; null without `repository`."
  value       = one([for role in aws_iam_role.release : role.arn])
}
