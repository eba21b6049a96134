variable "name" {
  description = "Names the cluster and begins the name of all that belongs to it."
  type        = string
  default     = "souk"
}

variable "region" {
  description = "Where everything is."
  type        = string
  default     = "eu-central-1"
}

variable "zones" {
  description = "Three zones of the region, by name: a new one does not move what is there."
  type        = list(string)
  default     = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
}

variable "kubernetes_version" {
  description = "The control plane's and the nodes' version."
  type        = string
  default     = "1.34"
}

variable "cidr" {
  description = "The addresses of the network; a /16 gives each zone 8192 for pods."
  type        = string
  default     = "10.0.0.0/16"
}

variable "api_cidrs" {
  description = "Who may reach the API server from the internet; nobody if empty."
  type        = list(string)
  default     = []
}

variable "namespace" {
  description = "Where the services run."
  type        = string
  default     = "souk"
}

variable "services" {
  description = "The images that there are: one repository each."
  type        = set(string)
  default     = ["gateway", "notification", "order", "payment", "product", "user"]
}

variable "repository" {
  description = "Whose release workflow pushes the images, like owner/souk; nobody's if empty."
  type        = string
  default     = ""

  validation {
    # Of the subject of a token everything else is fixed.
    condition     = can(regex("^([A-Za-z0-9._-]+/[A-Za-z0-9._-]+)?$", var.repository))
    error_message = "A repository is owner/name."
  }
}

variable "node_types" {
  description = "What nodes may be, the cheapest first."
  type        = list(string)
  default     = ["m7g.large", "m6g.large"]
}

variable "nodes" {
  description = "How many nodes there are at least and at most."
  type        = object({ min = number, max = number })
  default     = { min = 3, max = 9 }
}

variable "image_host" {
  description = "Where pictures of products are served from, like images.souk.example."
  type        = string
}

variable "image_certificate_arn" {
  description = "ACM's certificate for `image_host`, in us-east-1 as CloudFront wants it."
  type        = string
}
