import { serveCampaign } from './campaign.ts';

serveCampaign();
