# Pictures of products. The product service lets people put them here with its own role's rights; only
# CloudFront reads them.
resource "aws_s3_bucket" "images" {
  #checkov:skip=CKV_AWS_144:pictures can be uploaded again; no other region is needed
  #checkov:skip=CKV_AWS_145:the pictures are public; a key of our own would hide nothing
  #checkov:skip=CKV_AWS_18:CloudFront's requests are what counts
  #checkov:skip=CKV2_AWS_62:nothing waits for a picture
  bucket = "${var.name}-product-images-${local.account}"
}

resource "aws_s3_bucket_public_access_block" "images" {
  bucket                  = aws_s3_bucket.images.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "images" {
  bucket = aws_s3_bucket.images.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "images" {
  bucket = aws_s3_bucket.images.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "images" {
  bucket = aws_s3_bucket.images.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "images" {
  bucket = aws_s3_bucket.images.id
  rule {
    id     = "old"
    status = "Enabled"
    filter {}
    noncurrent_version_expiration {
      noncurrent_days = 30
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

# Browsers put pictures here from the shop's own pages.
resource "aws_s3_bucket_cors_configuration" "images" {
  bucket = aws_s3_bucket.images.id
  cors_rule {
    allowed_methods = ["PUT"]
    allowed_origins = ["https://${trimprefix(var.image_host, "images.")}"]
    allowed_headers = ["content-type"]
    max_age_seconds = 3600
  }
}

resource "aws_s3_bucket_policy" "images" {
  bucket = aws_s3_bucket.images.id
  policy = templatefile("${path.module}/policies/bucket.json", {
    partition    = local.partition
    bucket       = aws_s3_bucket.images.id
    distribution = aws_cloudfront_distribution.images.arn
    role         = aws_iam_role.workload["product"].arn
  })
}

resource "aws_cloudfront_origin_access_control" "images" {
  name                              = aws_s3_bucket.images.id
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

resource "aws_cloudfront_distribution" "images" {
  #checkov:skip=CKV_AWS_68:static pictures; there is no application to protect
  #checkov:skip=CKV2_AWS_47:likewise
  #checkov:skip=CKV_AWS_86:access to public pictures is not logged
  #checkov:skip=CKV_AWS_310:one bucket; when it is away, pictures are missing and the shop sells on
  #checkov:skip=CKV_AWS_374:the shop sells everywhere
  #checkov:skip=CKV_AWS_305:there is no root page
  #checkov:skip=CKV2_AWS_32:it has one of AWS' own, by its id
  enabled         = true
  is_ipv6_enabled = true
  http_version    = "http2and3"
  aliases         = [var.image_host]
  price_class     = "PriceClass_100"

  origin {
    origin_id                = "bucket"
    domain_name              = aws_s3_bucket.images.bucket_regional_domain_name
    origin_access_control_id = aws_cloudfront_origin_access_control.images.id
  }

  default_cache_behavior {
    target_origin_id       = "bucket"
    viewer_protocol_policy = "redirect-to-https"
    allowed_methods        = ["GET", "HEAD"]
    cached_methods         = ["GET", "HEAD"]
    compress               = true
    # AWS's own: CachingOptimized, and SecurityHeadersPolicy with its `nosniff`.
    cache_policy_id            = "658327ea-f89d-4fab-a63d-7e88639e58f6"
    response_headers_policy_id = "67f7725c-6f97-4210-82d7-5512b31e9d03"
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  viewer_certificate {
    acm_certificate_arn      = var.image_certificate_arn
    ssl_support_method       = "sni-only"
    minimum_protocol_version = "TLSv1.2_2021"
  }
}
